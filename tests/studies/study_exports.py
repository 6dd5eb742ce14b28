"""How often does a shop's export read wrong without a word?

Exports composed of independent draws: headers and words of 29 languages, the shape of the file
(a row per order or per line, the order's total on each line or on the first), its dress (encoding,
separator, decimals, dates, title and total rows) and difficulties (guests, unpaid, cancelled and
refunded orders, test orders, charges as lines, credit notes, repeated rows, placeholder addresses).
The generator knows customers, orders and revenue. Where segkit asks, an owner who knows the file
takes the answer that is true among those offered.

Right: at once. Asked: right after the answers. No true offer: none of the answers offered is true
(the owner has to write one). Refused: no answer helps. Warned: a figure is off and a warning names
its column. Wrong after answers, silently wrong: customers, orders or revenue differ from every
accepted basis by more than half a per cent, or a mailing list holds customers who refused.
"""

import tempfile
from collections import Counter
from pathlib import Path

import polars as pl

import segkit
from segkit.campaign.outlook import build_outlook
from segkit.errors import SegkitError
from segkit.intake.answers import mapping_of, offered_answers, read_answer
from segkit.intake.layouts import add_contacts
from tests.studies._exports import make_export
from tests.studies._study import arguments, over_seeds, publish, rate

FIRST = 20_000  # seeds before this one were looked at while what they showed was mended
OUTCOMES = ("right", "asked", "no true offer", "refused", "warned", "wrong after answers",
            "silently wrong")  # fmt: skip
NEAR = 0.005  # of a figure
MOST_ANSWERS = 4
# What a column of the contract may be, in the words of this file.
ROLES = {
    "order_id": {"order"}, "order_time": {"ordered"}, "amount": {"line_total", "total"},
    "quantity": {"quantity"}, "unit_price": {"price"}, "discount": {"discount"},
    "product_id": {"product", "sku"}, "status": {"state", "paid_at"},
    "payment_status": {"state", "paid_at"}, "refund": {"refund"},
    "currency": {"currency"}, "email": {"email"}, "channel": {"channel"}, "phone": {"phone"},
    "customer_name": {"name"},
}  # fmt: skip
# Columns of the contract whose warnings are about a figure.
ABOUT = {
    "people": {"customer_id", "email", "phone", "is_guest"},
    "orders": {"order_id", "status", "payment_status", "is_return", "order_time", "row_kind"},
    "revenue": {"amount", "unit_price", "quantity", "status", "payment_status", "is_return",
                "refund", "discount", "currency", "order_id", "row_kind"},
    "list": {"marketing_consent", "email_consent"},
}  # fmt: skip


# The owner's answers ---------------------------------------------------------------------------


def is_true(export, line):
    """Return whether the owner would say so; None where the owner does not know."""
    path, _, value = line.partition("=")
    parts = path.replace('"', "").replace("'", "").split(".")
    role = export.roles.get(value)
    if ".columns." in path:
        wanted = export.customers if parts[-1] == "customer_id" else ROLES.get(parts[-1])
        return None if wanted is None else role in wanted
    if path.endswith("decimal"):
        return value == export.decimal
    if "day_first" in path:
        return (value == "true") == (export.drawn["language"] != "en")
    if path.endswith("amount_of"):
        return (value == "order") == (export.drawn["shape"] in ("order", "repeated"))
    if path.endswith("duplicates"):
        return (value == "drop") == ("repeats" in export.drawn["odd"])
    if "not_states" in path:
        return not any(export.roles.get(h) in ("state", "paid_at") for h in read_list(line))
    if path == "currency":
        return value == export.drawn["currency"]
    return None


def read_list(line):
    """Return the strings of an answer that is a list."""
    value = read_answer(line)
    while isinstance(value, dict):
        value = next(iter(value.values()))
    return value if isinstance(value, list) else [value]


def answer_state(export, line):
    """Return the line with the word's true meaning."""
    path, _, value = line.partition("=")
    word = path.partition(".values.")[2].partition(".")[2].strip("'\"")
    column = path.partition(".values.")[2].partition(".")[0]
    if column not in ("status", "payment_status"):
        return line
    meaning = export.words.get(word.lower())
    if meaning is None:  # a date of payment: blank is unpaid
        meaning = {"": "unpaid", "*": "sale"}.get(word, value)
    return f"{path}={meaning}"


def fill_in(export, line):
    """Return the line with the column that the owner knows, where the question knows none."""
    path = line.removesuffix("=...")
    name = path.rpartition(".")[2]
    wanted = export.customers if name == "customer_id" else ROLES.get(name, set())
    known = sorted(h for h, role in export.roles.items() if role in wanted)
    return f"{path}={known[0]}" if line.endswith("=...") and known else line


def answer(export, question):
    """Return the first offer that is true, else one that is not false; None if all are false."""
    offers = [
        [answer_state(export, line) if ".values." in line else fill_in(export, line)
         for line in offer]
        for offer in offered_answers(question.answer)
    ]  # fmt: skip
    judged = [[is_true(export, line) for line in offer] for offer in offers]
    for accepted in ({True}, {True, None}):
        for offer, said in zip(offers, judged, strict=True):
            if set(said) <= accepted and "..." not in " ".join(offer):
                return offer
    return None


# Judgement -------------------------------------------------------------------------------------


def measure(audit):
    """Return customers, orders, revenue and the addresses that would be written to."""
    taken = add_contacts(segkit.clean_data(audit))
    orders = taken.orders
    sales = orders.filter(~pl.col("is_return")) if "is_return" in orders.columns else orders
    count = sales["order_id"].n_unique()
    people, revenue = sales["customer_id"].n_unique(), float(orders["amount"].sum())
    asks = any(item.kind == "consent" for item in audit.findings)
    lists = pl.DataFrame() if asks else build_outlook(taken).audience.frame
    listed = {*lists["email"]} if "email" in lists.columns else set()
    return people, count, revenue, listed


def wrong_figures(export, people, orders, revenue):
    """Return which figures are off on the basis that they are nearest to."""
    near = lambda got, true: abs(got - true) <= NEAR * abs(true)  # noqa: E731
    found = [
        tuple(
            name
            for name, right in (
                ("people", near(people, basis[0])), ("orders", near(orders, basis[1])),
                ("revenue", any(near(revenue, money) for money in basis[2])),
            )
            if not right
        )
        for basis in export.bases
    ]  # fmt: skip
    return min(found, key=len)


def judge(export, path):
    """Read the file as a new user would; return the outcome, with what is behind it."""
    path.write_bytes(export.data)
    given, asked = [], []
    try:
        for _ in range(MOST_ANSWERS + 1):
            audit = segkit.audit_data(path, mapping_of(given)) if given else segkit.audit_data(path)
            questions = [one for one in audit.findings if one.severity == "block"]
            if not questions:
                break
            if len(asked) == MOST_ANSWERS or audit.refused:
                return {"outcome": "refused", "detail": questions[0].finding, "asked": asked}
            asked.append(f"{questions[0].finding} -> {questions[0].answer}")
            chosen = answer(export, questions[0])
            if chosen is None:
                return {"outcome": "no true offer", "detail": asked[-1], "asked": asked}
            given += chosen
        people, orders, revenue, listed = measure(audit)
    except SegkitError as error:
        return {"outcome": "refused", "detail": str(error), "asked": asked}
    wrong = wrong_figures(export, people, orders, revenue)
    wrong += ("list",) if listed & export.refused else ()
    got = f"got {people}/{orders}/{revenue:.2f} of {export.bases[0]}; given {given}"
    if not wrong:
        return {"outcome": "asked" if asked else "right", "detail": got, "asked": asked}
    warned = {item.column for item in audit.findings if item.severity == "warn"}
    told = all(warned & ABOUT[name] for name in wrong)
    outcome = "warned" if told else "wrong after answers" if asked else "silently wrong"
    return {"outcome": outcome, "detail": f"{'+'.join(wrong)}: {got}", "asked": asked}


def task(seed):
    """Judge one composed file."""
    export = make_export(seed)
    with tempfile.TemporaryDirectory() as folder:
        found = judge(export, Path(folder) / "export.csv")
    drawn = {key: sorted(v) if isinstance(v, set) else v for key, v in export.drawn.items()}
    found |= {"questions": len(found.pop("asked")), "language": drawn["language"]}
    return {"seed": seed, **found, "drawn": str(drawn)}


def main():
    """Run the study, list what is not right, and publish the table."""
    options = arguments(__doc__, seeds=200, thin=4)
    seeds = [(FIRST + seed,) for seed in range(options.seeds)]
    results = over_seeds(task, seeds, jobs=options.jobs, keep=options.keep, as_is=options.as_is)
    counts = Counter(results["outcome"])
    rows = [{"outcome": outcome, **rate(counts[outcome], len(results))} for outcome in OUTCOMES]
    off = results.filter(~pl.col("outcome").is_in(OUTCOMES[:2]))
    for row in off.select("seed", "language", "outcome", "detail", "drawn").iter_rows():
        print(*row, sep=" | ")
    publish(pl.DataFrame(rows), "exports", thin=options.thin)


if __name__ == "__main__":
    main()
