"""Where the templates lie, and their style sheets."""

from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"


def style(*names: str) -> str:
    """Return style sheets of the templates' folder as one."""
    return "\n".join((TEMPLATES / name).read_text(encoding="utf-8") for name in names)
