import pytest

from eval.normalizers import NormalizerName, normalizer_for

AURICLE = normalizer_for(NormalizerName.AURICLE, None)

NUMBERS = {
    "en": "one hundred and five=105, two thousand and twenty three=2023, nineteen ninety-five=1995, "
    "twenty twenty=2020, nineteen oh five=1905, nineteen hundred=1900, one two three oh five=12305, "
    "fourteen fifty-five=1455, eleven fifty=11 50, five oh=5 oh, 2.5 million=2500000, "
    "three point one four=3.14, two and three=2 and 3, "
    "a hundred=a 100, five hundred thousand=500000, "
    "one six one eight=1618, 100 and five=100 and 5, two million=2000000, seven seven=7 7",
    "de": "einundzwanzig=21, zweitausenddreihundertfünfundvierzig=2345, ein Haus=ein haus, eins=1, hundertacht=108, "
    "hundertundeins=101, zwei Millionen=2000000, drei Komma fünf=3-5, neunzehnhundertneunundachtzig=1989, "
    "achten=achten",
    "fr": "quatre-vingts=80, quatre-vingt-dix-neuf=99, soixante et onze=71, neuf cents=900, vingt et un=21, "
    "mille neuf cent quatre-vingt-dix-huit=1998, trois virgule quatorze=3-14, un livre neuf=un livre neuf, "
    "deux cent mille=200000, septante-deux=72",
    "es": "treinta y cinco=35, mil novecientos noventa y nueve=1999, dos y tres=2 y 3, mil millones=1000000000, "
    "veintidós=22, ciento uno=101, un millón=1000000, uno=1, una casa=una casa",
    "it": "ventuno=21, ventotto=28, duemilatrecentoquarantacinque=2345, sei=sei, trentasei=36, cento=100, mille=1000, "
    "un milione=1000000",
    "pt": "vinte e um=21, cento e vinte e três mil=123000, dois e três=2 e 3, mil e um=1001, um gato=um gato",
    "nl": "vijfenveertig=45, tweeëntwintig=22, honderdeenentwintig=121, tweeduizend=2000, een=een, één=1",
    "sv": "tjugoett=21, etthundrafemtio=150, tvåtusen fem=2005, ettusen=1000, en bil=en bil",
    "ca": "vint-i-u=21, trenta-dos=32, dos-cents quaranta=240, nou=nou",
    "ro": "douăzeci și unu=21, o sută=100, două mii cinci=2005, o casă=o casă",
    "ru": "двадцать один=21, тысяча девятьсот сорок пять=1945, пять миллионов=5000000, 12 000=12000, двух=двух",
    "uk": "сорок п’ять=45, дві тисячі=2000",
    "pl": "dwadzieścia jeden=21, tysiąc dziewięćset osiemdziesiąt cztery=1984, pięć tysięcy=5000",
    "cs": "dvacet pět=25, dvě stě třicet=230, tisíc devět set=1900",
    "lt": "dvidešimt penki=25, du šimtai=200",
    "tr": "yirmi bir=21, on beş=15, onbeş=15, yüz elli=150, iki bin yirmi dört=2024, 5 bin=5000, bir yüz=bir yüz",
    "fi": "kaksikymmentäyksi=21, satakaksi=102, kaksituhatta viisi=2005, kuusi=kuusi",
    "et": "kakskümmend üks=21, kakssada=200, kaksteist=12",
    "hu": "huszonegy=21, kétezer-tizenkettő=2012, ezerkilencszáznyolcvankilenc=1989, egy hét=egy hét",
    "hi": "पच्चीस=25, दो सौ पचास=250, एक हज़ार=1000, तीन लाख=300000, एक किताब=एक किताब",
    "zh": "二十三=23, 一百零五=105, 3万5千=35000, 二〇一一年=2011年, 1.5万=15000, 一亿二千万=120000000, "
    "三三两两=三三两两, 十七八岁=十七八岁, 三万五=三万五, 一百五=一百五, 第一=第一, "
    "百分之五=百分之5, 百分之百=百分之100, 三点五分=三点五分, 九十九点九=99.9, 三点=三点",
    "ja": "千九百九十年=1990年, 百二十円=120円, 百万=1000000, 三つ=三つ, 一万二千=12000",
}
CASES = [(language, *case.split("=")) for language, cases in NUMBERS.items() for case in cases.split(", ")]


@pytest.mark.parametrize(("language", "spelled", "digits"), CASES)
def test_spelled_numbers(language: str, spelled: str, digits: str) -> None:
    expected = digits.replace("-", ",")  # the decimal comma, as "," parts the cases
    assert AURICLE.normalize(spelled, language) == expected


@pytest.mark.parametrize(
    ("language", "written", "digits"),
    [
        ("en", "1,234,567.89", "1234567.89"),
        ("en", "1,23", "1 23"),
        ("en", "12.05.2011", "12 05 2011"),
        ("en", "10:30", "10 30"),
        ("de", "1.234.567,89", "1234567,89"),
        ("de", "12.05.2011", "12 05 2011"),
        ("de", "3.5", "3,5"),
        ("de", "3,125", "3,125"),
        ("fr", "1\u202f234,5", "1234,5"),
        ("fr", "1\u202f234.5", "1234,5"),
        ("fr", "1 234,5", "1234,5"),
        ("de", "1'234'567.50", "1234567,50"),
        ("hi", "१२,३४,५६७", "1234567"),
        ("fa", "۱٬۲۳۴٫۵", "1234.5"),
        ("en", "The 1990's and '90s", "the 1990s and 90s"),
        ("en", "007", "007"),
    ],
)
def test_separators_in_digits(language: str, written: str, digits: str) -> None:
    assert AURICLE.normalize(written, language) == digits


def test_numbers_too_long_to_count_are_still_numbers() -> None:
    assert AURICLE.normalize("9" * 6000 + " million", "en") == "9" * 6000 + "000000"
    assert AURICLE.normalize("billion " * 3, "en") == "1000000000 1000000000 1000000000"


@pytest.mark.parametrize(
    ("language", "many"),
    [
        ("ca", "cents de persones"),
        ("cs", "tisíce lidí"),
        ("de", "millionen menschen"),
        ("es", "millones de personas"),
        ("fr", "des millions de gens"),
        ("it", "milioni di persone"),
        ("lt", "šimtai žmonių"),
        ("pl", "tysiące ludzi"),
        ("ro", "sute și mii de oameni"),
        ("ru", "тысячи людей"),
    ],
)
def test_thousands_of_people_are_not_1000_people(language: str, many: str) -> None:
    assert AURICLE.normalize(many, language) == many
