from segkit.runner.notebook import NotebookRun as NotebookRun
from segkit.runner.opening import open_notebook as open_notebook

__all__: list[str]
