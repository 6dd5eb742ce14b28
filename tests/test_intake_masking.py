"""Masking: what helps to mend a file stays, what names a person goes."""

import polars as pl
import pytest

from segkit.intake.privacy import (
    mask_cell,
    mask_column,
    mask_error,
    mask_html,
    mask_outputs,
    mask_text,
    personal_columns,
)

# Published examples: the telephone numbers that Ofcom reserves for drama, the card numbers that
# payment systems publish for tests, the account numbers of ISO 13616's registry.
PERSONAL = [
    "ann.lee+x@shop.example", "ÄNNE@bücher.example", "+44 20 7946 0958", "(020) 7946 0958",
    "020 7946 0958", "07700 900123", "+1 (650) 555-0100", "4111 1111 1111 1111",
    "5500005555555559", "378282246310005", "DE89 3704 0044 0532 0130 00", "GB29NWBK60161331926819",
]  # fmt: skip
PLAIN = [
    "31.02.2024", "2024-01-01 12:00:00", "01/02/2024 10:15 PM", "9,747,747.93", "1 000 000 000",
    "17850", "00017850", "5012345678900", "1234567890123456", "0.123456789012", "A-17", "85123A",
    "1.234,5O", "2024-13-01T00:00:00Z", "EUR 12,50", "12 kg", "n/a", "",
]  # fmt: skip


@pytest.mark.parametrize("text", PERSONAL)
def test_personal_data_are_masked_alone_and_in_a_sentence(text):
    assert text not in mask_text(f"It says {text} there.")
    assert mask_text(f"It says {text} there.").endswith(" there.")
    assert text not in mask_cell(text)


def test_an_address_after_something_masked_and_one_behind_a_very_long_text_are_masked():
    """With time for a picture's text within a page: each place is looked at a few times only."""
    assert mask_text("(020) 7946 0958/ann.lee@shop.example") == "phone number of 11 digits/a…@…"
    long = "x" * 300_000
    assert mask_text(f"{long} ann.lee@shop.example") == f"{long} an…@…"


@pytest.mark.parametrize("text", PLAIN)
def test_what_helps_to_mend_a_file_stays(text):
    assert mask_cell(text) == text
    assert mask_text(f"row 17 (line 19): amount = {text}, 3 rows") == (
        f"row 17 (line 19): amount = {text}, 3 rows"
    )


@pytest.mark.parametrize(
    "text",
    ["Miller", "Ann", "Ann Lee", "Ann 5", "Lee 12", "Ann Lee, 12 High Street", "please call 5",
     "gift for Tom", "Zoë", "李小龍", "O'Brien", "a" * 31, "1" * 31],
)  # fmt: skip
def test_names_and_sentences_are_told_by_their_length(text):
    assert mask_cell(text) == f"text of {len(text)} characters"


def test_a_long_word_among_digits_is_left_out_of_a_date():
    assert mask_cell("32 Januar 2024") == "32 … 2024"
    assert mask_cell("07700900123") == "phone number of 11 digits"


def test_a_column_is_masked_cell_by_cell_and_counted():
    cells = pl.Series(["ann@shop.example", "red", None, "ann@shop.example", "2024-05-01"])
    masked, count = mask_column(cells)
    assert masked.to_list() == ["an…@…", "red", None, "an…@…", "2024-05-01"]
    assert count == 2


def test_pictures_in_a_page_are_left():
    page = 'ann@shop.example <img src="data:image/png;base64,ab+12345678901/x=="> 020 7946 0958'
    assert mask_html(page) == (
        'an…@… <img src="data:image/png;base64,ab+12345678901/x=="> phone number of 11 digits'
    )


def test_columns_are_personal_by_name_and_statistics_about_them_are_not():
    names = ["phone", "last_name", "zip", "Email", "email_consent", "email_open_share", "region"]
    assert personal_columns(names) == ["phone", "last_name", "zip", "Email"]


def test_what_an_error_quotes_is_a_name_in_code_or_a_cell():
    said = mask_error("row 3: can't read \"call Ann, +44 20 7946 0958\" in 'order_time'", "E")
    assert said == "row 3: can't read \"text of 26 characters\" in 'order_time'"
    assert mask_error("No such file: 'data/orders.csv'", "OSError").endswith("'data/orders.csv'")
    assert mask_error("ordered by Zoë Ångström, 2024", "E") == (
        "ordered by text of 12 characters, 2024"
    )
    own = "unknown column 'Order Time'; ann@shop.example"
    assert mask_error(own, "ColumnError") == "unknown column 'Order Time'; an…@…"


def test_outputs_of_every_kind_are_masked_and_pictures_are_left():
    line = "\x1b[31mValueError\x1b[39m: 'Tom Fox'"
    drawn = '<svg><path d="M 4111 1111 1111 1111"/><text>ann@shop.example</text></svg>'
    cells = [
        {"source": "no output"},
        {
            "outputs": [
                {"output_type": "stream", "name": "stdout", "text": "told ann@shop.example"},
                {"output_type": "stream", "name": "stderr", "text": "UserWarning: 'Ann Lee'\n1"},
                {
                    "output_type": "error",
                    "ename": "KeyError",
                    "evalue": "Ann Lee",
                    "traceback": [line, "KeyError: Ann Lee"],
                },
                {
                    "output_type": "display_data",
                    "data": {
                        "image/png": "020 7946 0958",
                        "image/svg+xml": drawn,
                        "application/json": {"a": ["ann@shop.example", 4111111111111111]},
                    },
                },
            ]
        },
    ]
    mask_outputs(cells)
    out, warned, error, shown = cells[1]["outputs"]
    assert out["text"] == "told an…@…"
    assert warned["text"] == "UserWarning: 'text of 7 characters'\n1"
    assert error["evalue"] == "text of 7 characters"
    assert error["traceback"] == [
        "\x1b[31mValueError\x1b[39m: 'text of 7 characters'",
        "KeyError: text of 7 characters",
    ]
    assert shown["data"]["image/png"] == "020 7946 0958"
    assert shown["data"]["image/svg+xml"] == drawn.replace("ann@shop.example", "an…@…")
    assert shown["data"]["application/json"] == {"a": ["an…@…", 4111111111111111]}
