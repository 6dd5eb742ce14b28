from segkit.monitor.alerts import AlertRule as AlertRule
from segkit.monitor.alerts import Alerts as Alerts
from segkit.monitor.alerts import find_alerts as find_alerts
from segkit.monitor.alerts import read_rules as read_rules
from segkit.monitor.drift import Drift as Drift
from segkit.monitor.drift import measure_drift as measure_drift
from segkit.monitor.history import History as History
from segkit.monitor.history import PlantedMoves as PlantedMoves
from segkit.monitor.history import compare_with_truth as compare_with_truth
from segkit.monitor.history import prepare_history as prepare_history
from segkit.monitor.kpis import KpiSeries as KpiSeries
from segkit.monitor.kpis import measure_kpis as measure_kpis
from segkit.monitor.migration import Migration as Migration
from segkit.monitor.migration import compare_periods as compare_periods
from segkit.monitor.refresh import Refresh as Refresh
from segkit.monitor.refresh import decide_refresh as decide_refresh
from segkit.monitor.refresh import find_comparable_day as find_comparable_day
from segkit.monitor.series import RefreshSeries as RefreshSeries
from segkit.monitor.series import fit_earlier as fit_earlier
from segkit.monitor.series import rebuild_customers as rebuild_customers
from segkit.monitor.series import refresh_series as refresh_series

__all__: list[str]
