"""Encodings are detected, doubtful ones asked about; dates and times in two columns are joined."""

import numpy as np
import polars as pl
import pytest

import segkit
from segkit.errors import SourceError
from segkit.intake.encodings import COMMON, LATIN, seen_encoding
from segkit.intake.mapping import Mapping
from segkit.intake.reshape import join_times, known_zone

NAMES = {
    "gbk": "王伟 李娜 张敏 刘洋 陈静 杨磊 赵丽 黄强 周杰 吴芳 徐超 孙涛 马明 朱艳 胡军 林霞",
    "cp932": "佐藤 鈴木 高橋 田中 伊藤 渡辺 山本 中村 小林 加藤 吉田 山田 山口 松本 井上",
    "euc_jp": "佐藤 鈴木 高橋 田中 伊藤 渡辺 山本 中村 小林 加藤 吉田 山田 山口 松本 井上",
    "cp949": "김민준 이서연 박도윤 최하은 정시우 강지우 조서준 윤하윤 장예준 임지민",
    "big5": "陳怡君 林志明 黃淑芬 張家豪 李美玲 王建宏 吳雅婷 劉俊傑 蔡佩珊 楊宗翰",
    "cp1251": "Иванов Смирнов Кузнецов Попов Васильев Петров Соколов Михайлов",
    "koi8_r": "Иванов Смирнов Кузнецов Попов Васильев Петров Соколов Михайлов",
    "cp1252": "Müller Schäfer Größe Jürgen Léa François Noël Søren Åsa Peña Muñoz João",
    "mac_roman": "Müller Schäfer Größe Jürgen Léa François Noël Søren Åsa Peña Muñoz João",
    "cp850": "Müller Schäfer Größe Jürgen Léa François Noël Søren Åsa Peña Muñoz João",
    "cp1250": "Dvořák Černý Procházka Kučera Veselý Krejčí Łukasz Żółć Pokorný Růžička",
    "cp1253": "Παπαδόπουλος Γεωργίου Δημητρίου Νικολάου Κωνσταντίνου Ιωάννου",
    "cp1254": "Yılmaz Öztürk Şahin Çelik Doğan Kılıç Çetin Güneş",
    "cp1255": "כהן לוי מזרחי פרץ ביטון דהן אברהם פרידמן מלכה אזולאי",
    "cp1256": "محمد أحمد علي حسن خالد عمر يوسف إبراهيم مصطفى سعيد",
    "cp874": "สมชาย สมหญิง สมศักดิ์ ประเสริฐ วิชัย สุดา มานี",
}


def test_hebrew_without_capitals_beside_figures_is_hebrew():
    head = 'מספר הזמנה,תאריך הזמנה,שם הלקוח,"דוא""ל",סטטוס הזמנה,מק"ט,כמות,דמי משלוח,סה"כ לתשלום\n'
    rows = ["7001,רון מזרחי,u52@walla.co.il,תל אביב,הושלמה,נר 59,אשראי"] * 2
    rows += ["7002,שירה פרידמן,u66@walla.co.il,חיפה,נשלחה,נר 120,ביט"] * 2
    assert seen_encoding((head + "\n".join(rows)).encode("cp1255")) == "cp1255"
    assert seen_encoding(b"Fakturanr;F\xf6rfallodatum;Bokf\xf6rd\n1;11\xa0200;Ja") == "cp1252"


@pytest.mark.parametrize("encoding", NAMES)
def test_names_of_customers_give_their_encoding_away_or_it_is_asked(encoding):
    """Never another script in silence; forty names are enough for each."""
    chance = np.random.default_rng(len(encoding))
    pool = NAMES[encoding].split()
    for size in (5, 15, 40):
        text = "\n".join(f"C{n},{chance.choice(pool)},{n}.50" for n in range(size))
        data = text.encode(encoding)
        try:
            seen = seen_encoding(data)
        except SourceError:
            assert size < 40
            continue
        exact = data.decode(seen) == text
        assert exact or (encoding in LATIN and seen in LATIN and size < 40)


def test_every_encoding_listed_exists():
    for encoding, letters in COMMON.items():
        assert letters
        "a".encode(encoding)


@pytest.mark.parametrize(
    ("encoding", "header", "names"),
    [
        ("gbk", "店铺编号,买家,下单日期,金额", ["王伟", "李娜", "张敏"]),
        ("cp932", "店舗番号,顧客名,購入日,金額", ["佐藤", "鈴木", "高橋"]),
        ("cp1252", "Filiale,Käufer,Bestelldatum,Betrag", ["Müller", "Schäfer", "Weiß"]),
    ],
)
def test_files_in_older_encodings_keep_headers_and_names(tmp_path, encoding, header, names):
    rows = [f"S1,{name},2024-01-0{day},10.5" for day, name in enumerate(names, 1)]
    path = tmp_path / "orders.csv"
    path.write_bytes("\r\n".join([header, *rows]).encode(encoding))
    who, when, what = header.split(",")[1:]
    columns = {"customer_id": who, "order_time": when, "amount": what}
    taken = segkit.clean_data(path, {"orders": {"columns": columns}})
    assert taken.orders["customer_id"].to_list() == names
    assert any("not in Unicode; read as" in note for note in taken.notes)


def test_an_encoding_in_doubt_is_asked_about_and_the_answer_works(tmp_path):
    path = tmp_path / "orders.csv"
    path.write_bytes("customer_id,order_time,amount\n王伟,2024-01-01,1\n".encode("gbk"))
    with pytest.raises(SourceError, match=r'could be in .*"王伟".*\[orders\] encoding = "gb18030"'):
        segkit.audit_data(path)
    taken = segkit.clean_data(path, {"orders": {"encoding": "gbk"}})
    assert taken.orders["customer_id"][0] == "王伟"


def test_lines_beside_utf8_are_read_in_their_own_encoding(tmp_path):
    lines = [f"{name},2024-01-01,1" for name in NAMES["gbk"].split()]
    data = "\n".join(["customer_id,order_time,amount", *lines]).encode()
    data += b"\n" + "\n".join(lines).encode("gbk")
    path = tmp_path / "orders.csv"
    path.write_bytes(data)
    taken = segkit.clean_data(path)
    assert taken.orders["customer_id"].n_unique() == len(lines)
    assert any("read as gb18030" in note for note in taken.notes)


# Dates and times of day --------------------------------------------------------------------------


def test_date_time_and_zone_are_one_time(tmp_path):
    path = tmp_path / "till.csv"
    path.write_text(
        "Date,Time,Time Zone,Customer ID,Amount\n"
        "01/31/24,23:30:00,Eastern Time (US & Canada),a,1.00\n"
        "02/13/24,09:05:00,Eastern Time (US & Canada),b,2.00\n"
    )
    taken = segkit.clean_data(path)
    times = taken.orders["order_time"].dt.strftime("%Y-%m-%dT%H:%M").to_list()
    assert times == ["2024-02-01T04:30", "2024-02-13T14:05"]
    assert taken.orders["order_day"].cast(pl.Date).dt.day().to_list() == [31, 13]
    saved = segkit.audit_data(path).save_mapping(tmp_path / "mapping.toml")
    assert segkit.clean_data(path, saved).orders["order_time"].equals(taken.orders["order_time"])
    date_only = segkit.clean_data(path, {"orders": {"columns": {"order_time": "Date"}}})
    assert set(date_only.orders["order_time"].dt.hour()) == {0}


@pytest.mark.parametrize(
    ("date", "time"),
    [("Bestelldatum", "Uhrzeit"), ("order_date", "order_time"), ("下单日期", "时间"),
     ("Fecha", "Hora"), ("Date", "Heure")],
)  # fmt: skip
def test_pairs_of_columns_in_several_languages(date, time):
    frame = pl.DataFrame({"id": ["a"], date: ["2024-05-01"], "due": ["2024-06-01"], time: ["9:05"]})
    names = [date, "id", "due", time] if date == "order_date" else ["due", "id", date, time]
    joined, zone, notes = join_times(frame.select(names), Mapping(), "orders")
    assert joined[f"{date} {time}"].to_list() == ["2024-05-01 9:05"]
    assert (zone, len(notes)) == (None, 1)


def test_typed_columns_are_joined_and_empty_times_leave_the_date():
    frame = pl.DataFrame(
        {"date": ["2024-05-01", "2024-05-02"], "time": ["09:05:00", None]}
    ).with_columns(pl.col("date").str.to_date(), pl.col("time").str.to_time())
    joined = join_times(frame, Mapping(), "orders")[0]
    assert joined["date time"].to_list() == ["2024-05-01 09:05:00", "2024-05-02"]


def test_what_is_no_time_of_day_is_left_alone():
    for frame in (
        pl.DataFrame({"date": ["2024-05-01 10:00"], "time": ["09:05"]}),
        pl.DataFrame({"date": ["2024-05-01"], "duration": ["09:05"]}),
        pl.DataFrame({"date": ["2024-05-01"], "time": ["soon"]}),
        pl.DataFrame({"time": ["09:05"], "amount": ["3"]}),
    ):
        assert join_times(frame, Mapping(), "orders")[0].equals(frame)


def test_several_zones_are_said_and_decide_nothing():
    frame = pl.DataFrame(
        {"Date": ["2024-05-01"] * 2, "Time": ["09:05"] * 2, "Time Zone": ["Tokyo", "Dublin"]}
    )
    _, zone, notes = join_times(frame, Mapping(), "orders")
    assert zone is None
    assert "names 2 zones (Dublin, Tokyo)" in notes[1]
    assert known_zone("America/Chicago") == "America/Chicago"


def test_a_header_that_says_utc_names_the_zone_of_its_times():
    till = pl.DataFrame(
        {"Purchase Date": ["2024-05-01"], "Purchase Time (UTC timezone)": ["09:24:03 "],
         "paid_at_utc": ["2024-05-01 10:00:00"], "sent GMT+8": ["2024-05-01 11:00"]}
    )  # fmt: skip
    frame = join_times(till, Mapping(), "orders")[0]
    assert frame.row(0) == (
        "2024-05-01 09:24:03 UTC",
        "2024-05-01 10:00:00 UTC",
        "2024-05-01 11:00",
    )
