"""Different words that a careless normalizer makes one."""

import pytest

from eval.normalizers import NormalizerName, normalizer_for

AURICLE = normalizer_for(NormalizerName.AURICLE, None)

TRAPS = {
    "en": "we'll well, i'll ill, won't wont, can't cant, its it's, two too, for four, everyday every_day, "
    "color collar, rep representative, hundred hundredth, second 2, um,_well um,_will, 5_mm_gap 5_gap, 10² 102, "
    "5½ 51/2, man's mans",
    "de": "schon schön, Maße Masse, Buße Busse, drücken drucken, acht 8, Andrea's Andreas, achtzehn achtzig, ein 1",
    "nl": "een één, voor vóór, acht 8, bommelding bommeldingen, zeven zeventig",
    "sv": "har här, far får, hal hål, moln möln, ett en, tio tjugo",
    "da": "gø go, mål mal, læse lase",
    "no": "bønner bonner, får far, hør hor",
    "is": "þá þa, ól öl, sími simi",
    "fr": "ou où, côte cote, neuf 9, a à, des dès, sur sûr, l'a la, pécheur pêcheur, cent sans, six dix, s'en sen",
    "es": "año ano, si sí, papa papá, el él, aún aun, tú tu, ciento siento, doce dos, peña pena, un uno",
    "pt": "avó avô, e é, pais país, coco cocô, por pôr, um uma, pão pau, facto fato",
    "it": "e è, la là, pero però, sei 6, l'una luna, d'oro doro, ancora àncora, faro farò",
    "ca": "cel·la cella, ma mà, mes més, os ós, nou 9, net nét, deu 10",
    "ro": "fata fața, în in, peste pește, nouă 9, tata tată, sa să, roman român",
    "ru": "все всё, небо нёбо, осел осёл, чем чём, те т.е., берег берёг, лук люк, мои мой",
    "uk": "гніт ґніт, ліс лис, п'ять пять, кіт кит",
    "be": "у ў, сям'я сямя",
    "pl": "sad sąd, kat kąt, żal zal, laska łaska, pęk pek, lęk lek",
    "cs": "byt být, pas pás, krize kříže, rad rád, set sto",
    "lt": "kąsti kasti, rasti rąsti, šeši šeši_šimtai",
    "lv": "kaza kāza, tevs tēvs",
    "tr": "ılık ilik, ol öl, açı acı, hala hâlâ, yüz 100, bir_yüz 100, altı 6, sık şık",
    "az": "qız qiz, ən en",
    "uz": "o'n on, to'r tor, g'oz goz",
    "fi": "tuli tuuli, väli vali, kuusi 6, saari sääri, tapaan tapan",
    "et": "öö oo, kuus 6, viis 5, hall häll",
    "hu": "kor kór, kör kőr, kor kör, őrült örült, hét 7, hat 6",
    "el": "πότε ποτέ, η ή, που πού, νόμος νομός",
    "he": "ספר סופר, שבת שבט, אם עם",
    "yi": "אָ אַ, פּ פֿ",
    "ar": "على علي, أن إن, كلب قلب, مدرسة مدرسه, سال سأل",
    "fa": "کار گار, آن ان, بار پار",
    "ur": "کہا کھا, پہل پھل",
    "hi": "दिन दीन, सुना सूना, हँस हंस, राज राज़, फन फ़न, मेल मैल, कि की, बाल बल, जन्म जंम, दो 2",
    "mr": "दर्या दर्‍या, कल काल",
    "bn": "দিন দীন, কি কী, বাড়ি বারি, র্য র‍্য",
    "pa": "ਜੰਗ ਜਗ, ਬਲ ਬੱਲ, ਸ਼ੇਰ ਸੇਰ, ਦਿਨ ਦੀਨ, ਸਦਾ ਸੱਦਾ",
    "ta": "பல் பால், கல் கால், மனம் மணம், அரி அறி, கொல் கொள்",
    "te": "పలు పాలు, కల కళ",
    "ml": "അവന് അവന്‍, കല കാല",
    "th": "ขา ข้า, มา ม้า, เสือ เสื้อ, ใกล้ ไกล, ไหม ไม่, ปา ป่า, ฯลฯ ล",
    "lo": "ມາ ມ້າ, ເສືອ ເສື້ອ",
    "km": "កា ការ, ទឹក ទុក",
    "my": "စာ စား, မ မာ",
    "vi": "ma má, mà mã, thu thư, bán bạn, quý quy, đan dan, của cửa, thúy thùy",
    "ja": "は ば, びょういん びよういん, おじさん おじいさん, きて きって, ハ パ, 三 3",
    "zh": "一般 1般, 十分 10分, 万一 10001, 三四个 34个, 千万 10000000, 买 卖, 三万五 30005",
    "ko": "개 게, 굴 귤, 불 풀",
    "br": "c'hoar choar, arc'hant archant",
    "cy": "i'r ir, môr mor",
    "haw": "'aina aina, kau ka'u",
}
PAIRS = [(language, *pair.split()) for language, pairs in TRAPS.items() for pair in pairs.split(", ")]


@pytest.mark.parametrize(("language", "one", "other"), PAIRS)
def test_different_words_stay_different(language: str, one: str, other: str) -> None:
    one, other = one.replace("_", " "), other.replace("_", " ")
    assert AURICLE.normalize(one, language) != AURICLE.normalize(other, language)
    assert AURICLE.normalize(f"{one}, {one}", language) != AURICLE.normalize(f"{one}, {other}", language)


SAME = [
    ("en", "colour", "color"),
    ("en", "twenty-one", "21"),
    ("en", "1-2-3", "one two three"),
    ("en", "e-mail", "Email"),
    ("en", "the 1st", "The First"),
    ("en", "May 21st", "may twenty-first"),
    ("en", "we’re", "we are"),
    ("de", "daß", "dass"),
    ("de", "zwei Komma fünf", "2,5"),
    ("de", "zwanzig Prozent", "20%"),
    ("es", "cinco por ciento", "5 %"),
    ("es", "uno", "1"),
    ("fr", "appuyez sur un", "Appuyez sur 1."),
    ("fr", "dix mille", "10 000"),
    ("fr", "cœur", "coeur"),
    ("hi", "क़लम", "क\u093cलम"),
    ("hi", "हिन्दी", "हिंदी"),
    ("ml", "അവന്\u200d", "അവൻ"),
    ("th", "น้ำ", "นํ้า"),
    ("th", "แม่", "เเม่"),
    ("fa", "می‌روم", "می روم"),
    ("fa", "كتاب", "کتاب"),
    ("ar", "كِتَابـــٌ", "كتاب"),
    ("ro", "ţară", "țară"),
    ("vi", "hoà", "hòa"),
    ("vi", "ti\u1ebfng", "tie\u0302\u0301ng"),
    ("ru", "ещё", "еще"),
    ("sr", "Љубав", "ljubav"),
    ("tr", "Ankara’da", "Ankarada"),
    ("uz", "o‘zbek", "oʻzbek"),
    ("zh", "二十三", "２３"),
    ("zh", "百分之十五", "15%"),
    ("zh", "百分之九十九点九", "99.9%"),
    ("ru", "двадцать один процент", "21 %"),
    ("ru", "пять процентов", "5%"),
    ("ja", "ガイド", "ｶﾞｲﾄﾞ"),
    ("ja", "三千円", "3000円"),
    ("ka", "ᲡᲐᲥᲐᲠᲗᲕᲔᲚᲝ", "საქართველო"),
    ("el", "ΛΟΓΟΣ", "λογος"),
]


@pytest.mark.parametrize(("language", "one", "other"), SAME)
def test_one_word_written_twice_is_one_word(language: str, one: str, other: str) -> None:
    assert AURICLE.normalize(one, language) == AURICLE.normalize(other, language)
