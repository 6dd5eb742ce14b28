"""Consent by purpose and channel: who may be put on which list."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from segkit.display import number

# Channel to how a sentence names it.
CHANNELS = {
    "email": "e-mail",
    "sms": "text message",
    "phone": "phone",
    "post": "post",
    "ads": "ads, by an upload to a platform",
}
UNRECORDED = ("refused", "granted")


@dataclass(frozen=True, slots=True)
class Consent:
    """What is known of consent to one purpose by one channel.

    Attributes
    ----------
    purpose, channel : str
        The purpose's column or None; the channel.
    unrecorded : {"refused", "granted"}
        What silence is taken for.
    purpose_column, channel_column : str or None
        Columns that record it; None where the source has none.
    """

    channel: str
    unrecorded: str
    purpose_column: str | None
    channel_column: str | None

    @classmethod
    def of(
        cls, columns: list[str], *, consent: str | None, channel: str, unrecorded: str
    ) -> Consent:
        """Find the columns that record consent: the purpose's, and ``<channel>_consent``."""
        named = f"{channel}_consent"
        return cls(channel, unrecorded, consent, named if named in columns else None)

    @property
    def columns(self) -> list[str]:
        """The columns that record it."""
        return [name for name in (self.purpose_column, self.channel_column) if name is not None]

    def reasons(self) -> dict[str, pl.Expr]:
        """Tell for each customer why it may not be listed.

        A refusal of the purpose or of the channel always stands. Where neither is refused and not
        every column that the source has says yes, consent is not recorded.
        """
        found: dict[str, pl.Expr] = {}
        if self.purpose_column is not None:
            found["no_consent"] = ~pl.col(self.purpose_column).fill_null(value=True)
        if self.channel_column is not None:
            found["no_channel_consent"] = ~pl.col(self.channel_column).fill_null(value=True)
        if self.unrecorded == "refused":
            found["consent_not_recorded"] = self.silent()
        return found

    def silent(self) -> pl.Expr:
        """Tell for each customer whether consent is neither refused nor recorded."""
        if not self.columns:
            return pl.lit(value=True)
        refused = pl.any_horizontal(~pl.col(name).fill_null(value=True) for name in self.columns)
        blank = pl.any_horizontal(pl.col(name).is_null() for name in self.columns)
        return blank & ~refused

    def tell(self, silent: int, asked: int) -> str:
        """Say how many customers have no consent recorded, what was assumed, how to change it."""
        what = f"Consent to marketing by {CHANNELS[self.channel]}"
        if not silent:
            return f"{what} is recorded for all {number(asked)} customers."
        other = UNRECORDED[self.unrecorded == "refused"]
        where = "" if self.columns else " (the source has no column for it)"
        return (
            f"{what} is not recorded for {number(silent)} of {number(asked)} customers{where}; it "
            f'is taken as {self.unrecorded}. To change it: [customers] consent_default = "{other}" '
            f'in the mapping, or unrecorded="{other}" in the call.'
        )
