"""Real sentences of many languages, with their punctuation, numerals and marks."""

import pytest

from eval.normalizers import NormalizerName, normalizer_for

AURICLE = normalizer_for(NormalizerName.AURICLE, None)

SENTENCES = [
    # Germanic
    (
        "en",
        "“We won’t pay $1,250.50,” said Mr. O'Neill — that’s 20% more!",
        "we will not pay 1250.50 dollars said mister o'neill that's 20 percent more",
    ),
    (
        "en",
        "Um, twenty-one people at the U.N. (applause) coloured the web site.",
        "21 people at the un colored the website",
    ),
    ("en", "In nineteen ninety-five, two million three hundred thousand and five.", "in 1995 2300005"),
    (
        "de",
        "Die Straße kostet 1.250,50 € – das sind 20 % mehr!",
        "die straße kostet 1250,50 euro das sind 20 prozent mehr",
    ),
    ("de", "»Schön«, sagte er, »einundzwanzig E-Mails, z. B. heute.«", "schön sagte er 21 emails zum beispiel heute"),
    ("nl", "’s Avonds kosten vijfenveertig foto’s € 3,50.", "s avonds kosten 45 foto's 3,50 euro"),
    ("sv", "År 1984 sålde EU:s tjugoett länder 10 000 bilar.", "år 1984 sålde eus 21 länder 10000 bilar"),
    ("da", "»Æblegrød på øen« koster 3,5 kr.", "æblegrød på øen koster 3,5 kr"),
    ("no", "Hva sa du? – Blåbær, 25 %.", "hva sa du blåbær 25 prosent"),
    ("is", "Það er „þriðjudagur“ – ekki satt?", "það er þriðjudagur ekki satt"),
    ("af", "Dis ’n môre; hulle sê: “Goeie môre!”", "dis n môre hulle sê goeie môre"),
    ("lb", "D'Land ass kleng, awer schéin.", "d land ass kleng awer schéin"),
    # Romance
    ("fr", "L’eau coûte 1 250,50 € : c’est 20 % de plus !", "l eau coûte 1250,50 euros c est 20 pourcent de plus"),
    ("fr", "« Aujourd’hui, quatre-vingt-dix-neuf cœurs », dit-il.", "aujourd'hui 99 coeurs dit il"),
    ("es", "¿Cuánto cuesta? ¡Treinta y cinco pesos, señor!", "cuánto cuesta 35 pesos señor"),
    (
        "es",
        "El Sr. Peña pagó 1.250,50 € el año pasado: un 20 %.",
        "el señor peña pagó 1250,50 euros el año pasado un 20 porciento",
    ),
    ("it", "Dell’opera, ventotto atti… perchè? È così!", "dell opera 28 atti perché è così"),
    ("pt", "A avó comprou vinte e três pães por 4,50 €.", "a avó comprou 23 pães por 4,50 euros"),
    ("ca", "L’home col·labora amb vint-i-dues persones.", "l home col·labora amb 22 persones"),
    ("gl", "O neno bebe auga, non si?", "o neno bebe auga non si"),
    ("ro", "Totuşi, în ţară sînt douăzeci şi cinci de oraşe.", "totuși în țară sunt 25 de orașe"),
    # Slavic and Baltic
    ("ru", "«Всё ещё идёт дождь», — сказал он двадцать пятого мая.", "всё еще идет дождь сказал он 20 пятого мая"),
    ("ru", "Население — 12 500 человек, т.е. сто двадцать сёл.", "население 12500 человек т е 120 сёл"),
    ("uk", "П’ять імен і двадцять п’ять ґудзиків…", "5 імен і 25 ґудзиків"),
    ("be", "Сям’я жыве ў Мінску; ці так?", "сям'я жыве ў мінску ці так"),
    ("bg", "Той каза: „Добър ден!“", "той каза добър ден"),
    ("sr", "Љубав је, каже Џон, у Нишу.", "ljubav je kaže džon u nišu"),
    ("hr", "Čovjek i žena – ‘đak’.", "čovjek i žena đak"),
    ("pl", "— Zażółć gęślą jaźń: dwadzieścia jeden, 10 000 zł.", "zażółć gęślą jaźń 21 10000 zł"),
    ("cs", "Příliš žluťoučký kůň, dvě stě třicet korun (smích).", "příliš žluťoučký kůň 230 korun"),
    ("sk", "Koľko stojí? 1 000 € a ôsmy deň!", "koľko stojí 1000 a ôsmy deň"),
    ("lt", "Dvidešimt penki žmonės – „ąžuolas“.", "25 žmonės ąžuolas"),
    ("lv", "Rīgā dzīvo cilvēki; ūdens 3,5 litri.", "rīgā dzīvo cilvēki ūdens 3,5 litri"),
    # Uralic, Turkic, Basque, Celtic
    ("fi", "Kaksikymmentäyksi ihmistä EU:n alueella – 3,5 %.", "21 ihmistä eun alueella 3,5 prosenttia"),
    ("et", "Jah-sõna kakskümmend kolm korda, „öö“.", "jah sõna 23 korda öö"),
    ("hu", "Kétezer-tizenkettő őszén „fölhúzták” a zászlót.", "2012 őszén fölhúzták a zászlót"),
    ("tr", "İSTANBUL'da ışık; Iğdır’a yirmi beş km.", "istanbulda ışık ığdıra 25 km"),
    ("az", "Bakıda İLIQ hava, 3,5 dərəcə.", "bakıda ilıq hava 3,5 dərəcə"),
    ("uz", "O‘g‘limning ko‘kragi — bo’ladi.", "o'g'limning ko'kragi bo'ladi"),
    ("kk", "Қазақстан — үлкен ел, иә?", "қазақстан үлкен ел иә"),
    ("tt", "Хөрмәтле татарстанлылар!", "хөрмәтле татарстанлылар"),
    ("mn", "Өнөөдөр сайхан өдөр, тийм үү?", "өнөөдөр сайхан өдөр тийм үү"),
    ("eu", "Kontxako bandera aurten; badakizu?", "kontxako bandera aurten badakizu"),
    ("br", "Arc’hant zo ganit? Na'm selaouit ket.", "arc'hant zo ganit na'm selaouit ket"),
    ("cy", "Dyw'r dŵr ddim digon caled; wyth deg sent!", "dyw'r dŵr ddim digon caled wyth deg sent"),
    # Greek, Armenian, Georgian, Semitic, Iranian
    ("el", "Ο ΟΔΥΣΣΕΑΣ ρώτησε: «Πού είναι ο δρόμος;»", "ο οδυσσεασ ρώτησε πού είναι ο δρόμοσ"),
    ("hy", "Ինչո՞ւ չեք գալիս, և ե՛րբ։", "ինչու չեք գալիս եւ երբ"),
    ("ka", "ᲡᲐᲥᲐᲠᲗᲕᲔᲚᲝ — „აჭარა“, 3,5.", "საქართველო აჭარა 3,5"),
    ("he", 'שָׁלוֹם, צה"ל אמר: בית־ספר!', "שלום צהל אמר בית ספר"),
    ("yi", "ייִדיש איז אַ שפּראַך.", "ייִדיש איז אַ שפּראַך"),
    ("ar", "وَأَعْطَى قَلِيلاً، هل يوجد ٢٥ متجراً؟", "وأعطى قليلا هل يوجد 25 متجرا"),
    ("fa", "من می‌روم، كتاب ۱۲۳ صفحه دارد؟", "من می روم کتاب 123 صفحه دارد"),
    ("ur", "یہ کتاب ۱۲۳ صفحات کی ہے۔", "یہ کتاب 123 صفحات کی ہے"),
    ("am", "ሰላም፡ እንዴት ነህ፧ ደህና ነኝ።", "ሰላም እንዴት ነህ ደህና ነኝ"),
    # South Asia
    ("hi", "हिन्दी में पच्चीस किताबें हैं; १,२५,००० रुपये?", "हिंदी में 25 किताबें हैं 125000 रुपये"),
    ("hi", "हां, मुझे जरूरी फोन आया।", "हाँ मुझे ज़रूरी फ़ोन आया"),
    ("mr", "दर्‍या आणि डोंगर, चिन्ता नको!", "दऱ्या आणि डोंगर चिंता नको"),
    ("ne", "नेपालमा २५ जना छन्।", "नेपालमा 25 जना छन्"),
    ("bn", "আমি ১২টি বই পড়েছি, তাই না?", "আমি 12টি বই পড়েছি তাই না"),
    ("pa", "ਨੀਚਾ ਅੰਦਰਿ, ਪ੍ਰੋਫੈਸ਼ਨ ੨੫ ਹਨ।", "ਨੀਚਾ ਅੰਦਰਿ ਪ੍ਰੋਫੈਸ਼ਨ 25 ਹਨ"),
    ("gu", "કેમ છો? ૨૫ વર્ષ.", "કેમ છો 25 વર્ષ"),
    ("ta", "வாய்ச்சொல்லோ என்றுரைத்தேன்! ௨௫ பேர்.", "வாய்ச்சொல்லோ என்றுரைத்தேன் 25 பேர்"),
    ("te", "నేను ౨౫ పుస్తకాలు చదివాను.", "నేను 25 పుస్తకాలు చదివాను"),
    ("kn", "ನಾನು ೨೫ ಪುಸ್ತಕ ಓದಿದೆ.", "ನಾನು 25 ಪುಸ್ತಕ ಓದಿದೆ"),
    ("ml", "അവന്‍ വന്നു, അല്ലേ?", "അവൻ വന്നു അല്ലേ"),
    ("si", "ශ්‍රී ලංකාව, හොඳයි!", "ශ්රී ලංකාව හොඳයි"),
    # South-east and East Asia
    ("th", "ใช่ไหม? นํ้าท่วมกรุงเทพฯ ๒๕ ครั้ง", "ใช่ไหม น้ำท่วมกรุงเทพ 25 ครั้ง"),
    ("lo", "ສະບາຍດີ! ນໍ້າ ໒໕", "ສະບາຍດີ ນ້ຳ 25"),
    ("km", "តើអ្នកសុខសប្បាយទេ? ២៥។", "តើអ្នកសុខសប្បាយទេ 25"),
    ("my", "မင်္ဂလာပါ၊ ၂၅ ယောက်။", "မင်္ဂလာပါ 25 ယောက်"),
    ("bo", "བོད་སྐད། ༢༥", "བོད སྐད 25"),
    ("vi", "Hoà bình, khoẻ không? 3,5 triệu.", "hòa bình khỏe không 3,5 triệu"),
    ("id", "Anak-anak membeli 1.000 buku, “ya”?", "anak anak membeli 1000 buku ya"),
    ("zh", "二〇一一年，有二十三个人；一般三四个、15％。", "2011年 有23个人 一般三四个 百分之15"),
    ("yue", "佢哋有三千五百蚊，係咪？", "佢哋有3500蚊 係咪"),
    ("ja", "「ｶﾞｲﾄﾞさん、二十五人です」と百二十円。", "ガイドさん 25人です と120円"),
    ("ko", "“안녕하세요?” 25명이 왔다…", "안녕하세요 25명이 왔다"),
    ("haw", "ʻO wai kou inoa? Hawaiʻi.", "'o wai kou inoa hawai'i"),
    ("sw", "Habari gani? Ng’ombe 25!", "habari gani ng'ombe 25"),
    (None, "Hello, ＷＯＲＬＤ! ٢٥", "hello world 25"),
]


@pytest.mark.parametrize(("language", "text", "expected"), SENTENCES)
def test_what_is_compared(language: str | None, text: str, expected: str) -> None:
    assert AURICLE.normalize(text, language) == expected


def test_at_least_forty_languages_have_a_sentence() -> None:
    assert len({language for language, _, _ in SENTENCES}) > 40
