from segkit.live.triggers.rules import TriggerRules as TriggerRules
from segkit.live.triggers.run import TriggerRun as TriggerRun
from segkit.live.triggers.run import run_triggers as run_triggers
from segkit.live.triggers.sinks import JsonLinesSink as JsonLinesSink
from segkit.live.triggers.sinks import KafkaSink as KafkaSink
from segkit.live.triggers.sinks import ParquetSink as ParquetSink
from segkit.live.triggers.sinks import WebhookSink as WebhookSink
from segkit.live.triggers.sources import JsonLinesSource as JsonLinesSource
from segkit.live.triggers.sources import KafkaSource as KafkaSource
from segkit.live.triggers.sources import write_event_log as write_event_log
from segkit.live.triggers.trial import ThresholdTrial as ThresholdTrial
from segkit.live.triggers.trial import compare_thresholds as compare_thresholds
from segkit.live.triggers.trial import replay_triggers as replay_triggers

__all__: list[str]
