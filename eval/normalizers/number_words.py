"""Number words of the languages whose spelled numbers are read. In: nothing. Out: one ``NumberWords`` a language.

Only citation forms and genders: inflected numerals and ordinals are left as they are. A word that also means something
else is ``ambiguous`` and read only as a part of a longer number. Knows no grammar.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["NUMBER_WORDS", "NumberWords"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberWords:
    """The numerals of one language; words of one value are separated by "/"."""

    units: str
    """0, 1, … 19 or as far as they are words of their own; numerals of two words are written with "_"."""
    tens: str
    """20, 30, … 90."""
    thousand: str
    """What 1000 is called; the forms after the first are plurals, as in ``millions``: alone they are no number."""
    hundred: str = ""
    """What 100 is called, also after its multiplier."""
    hundreds: str = ""
    """200, 300, … 900, where they are single words."""
    millions: str = ""
    """10**6, and 10**9 after a blank; the singular first."""
    more: Mapping[str, int] = field(default_factory=dict)
    """Numerals that are in no row."""
    joiner: str = ""
    """The word between parts of one number."""
    joins_after: frozenset[str] = frozenset()
    """After which parts the joiner stands: "tens", "hundreds", "scale"."""
    teens_after: frozenset[int] = frozenset()
    """Tens that 10 … 19 may follow: soixante-dix."""
    solid: bool = False
    """Whether numbers are written in one word, units before or after tens."""
    decimal: str = ""
    """The word that is read for the decimal mark."""
    ambiguous: str = ""
    """Words that count only beside another part of the same number, or among three digits and more."""
    one_multiplies: bool = True
    """Whether one stands before a hundred; where it does not, as in Turkish, bir yüz is a face and not 100."""
    digits_before_hundred: bool = False
    """Whether 2 hundred is written, as 2 thousand is."""
    lone_one: str = ""
    """What a 1 that stands alone is read as, where that word is ambiguous."""


HINDI = """
21 इक्कीस बाईस तेईस चौबीस पच्चीस छब्बीस सत्ताईस अट्ठाईस उनतीस
31 इकतीस बत्तीस तैंतीस चौंतीस पैंतीस छत्तीस सैंतीस अड़तीस उनतालीस
41 इकतालीस बयालीस तैंतालीस चौवालीस पैंतालीस छियालीस सैंतालीस अड़तालीस उनचास
51 इक्यावन बावन तिरपन चौवन पचपन छप्पन सत्तावन अट्ठावन उनसठ
61 इकसठ बासठ तिरसठ चौंसठ पैंसठ छियासठ सड़सठ अड़सठ उनहत्तर
71 इकहत्तर बहत्तर तिहत्तर चौहत्तर पचहत्तर छिहत्तर सतहत्तर अठहत्तर उन्यासी
81 इक्यासी बयासी तिरासी चौरासी पचासी छियासी सत्तासी अट्ठासी नवासी
91 इक्यानवे बानवे तिरानवे चौरानवे पचानवे छियानवे सत्तानवे अट्ठानवे निन्यानवे
"""


def _two_digits(rows: str) -> dict[str, int]:
    table: dict[str, int] = {}
    for row in rows.strip().splitlines():
        first, *words = row.split()
        table |= {word: int(first) + i for i, word in enumerate(words)}
    return table


TENS, HUNDREDS, SCALE = "tens", "hundreds", "scale"

NUMBER_WORDS: Mapping[str, NumberWords] = {
    "en": NumberWords(
        units="zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen",
        tens="twenty thirty forty/fourty fifty sixty seventy eighty ninety",
        hundred="hundred",
        digits_before_hundred=True,
        thousand="thousand",
        millions="million billion",
        more={"oh": 0, "trillion": 10**12},
        joiner="and",
        joins_after=frozenset({HUNDREDS, SCALE}),
        decimal="point",
        ambiguous="oh",
    ),
    "es": NumberWords(
        units="cero uno/un/una dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince "
        "dieciséis/dieciseis diecisiete dieciocho diecinueve",
        tens="veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa",
        hundred="cien/ciento",
        hundreds="doscientos/doscientas trescientos/trescientas cuatrocientos/cuatrocientas quinientos/quinientas "
        "seiscientos/seiscientas setecientos/setecientas ochocientos/ochocientas novecientos/novecientas",
        thousand="mil",
        millions="millón/millones",
        more=dict.fromkeys(("veintiuno", "veintiún", "veintiun", "veintiuna"), 21)
        | {"veintidós": 22, "veintidos": 22, "veintitrés": 23, "veintitres": 23, "veinticuatro": 24, "veinticinco": 25}
        | {"veintiséis": 26, "veintiseis": 26, "veintisiete": 27, "veintiocho": 28, "veintinueve": 29},
        joiner="y",
        joins_after=frozenset({TENS}),
        decimal="coma/punto",
        ambiguous="un una",
    ),
    "fr": NumberWords(
        units="zéro un/une deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize "
        "dix_sept dix_huit dix_neuf",
        tens="vingt trente quarante cinquante soixante septante quatre_vingt/quatre_vingts/huitante nonante",
        hundred="cent/cents",
        thousand="mille",
        millions="million/millions milliard/milliards",
        joiner="et",
        joins_after=frozenset({TENS}),
        teens_after=frozenset({60, 80}),
        decimal="virgule",
        ambiguous="un une neuf cents",
        lone_one="un",
    ),
    "de": NumberWords(
        units="null ein/eins/eine zwei/zwo drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn "
        "fünfzehn sechzehn siebzehn achtzehn neunzehn",
        tens="zwanzig dreißig/dreissig vierzig fünfzig sechzig siebzig achtzig neunzig",
        hundred="hundert",
        thousand="tausend",
        millions="million/millionen milliarde/milliarden",
        joiner="und",
        solid=True,
        decimal="komma",
        ambiguous="ein eine acht",
    ),
    "nl": NumberWords(
        units="nul een/één twee drie vier vijf zes zeven acht negen tien elf twaalf dertien veertien vijftien zestien "
        "zeventien achttien negentien",
        tens="twintig dertig veertig vijftig zestig zeventig tachtig negentig",
        hundred="honderd",
        thousand="duizend",
        millions="miljoen miljard",
        joiner="en/ën",
        solid=True,
        decimal="komma",
        ambiguous="een acht",
    ),
    "sv": NumberWords(
        units="noll ett/en två tre fyra fem sex sju åtta nio tio elva tolv tretton fjorton femton sexton sjutton "
        "arton/aderton nitton",
        tens="tjugo trettio fyrtio femtio sextio sjuttio åttio nittio",
        hundred="hundra",
        thousand="tusen",
        more={"ettusen": 1000},
        millions="miljon/miljoner miljard/miljarder",
        solid=True,
        decimal="komma",
        ambiguous="ett en",
    ),
    "it": NumberWords(
        units="zero uno/un/una due tre/tré quattro cinque sei sette otto nove dieci undici dodici tredici quattordici "
        "quindici sedici diciassette diciotto diciannove",
        tens="venti/vent trenta/trent quaranta/quarant cinquanta/cinquant sessanta/sessant settanta/settant "
        "ottanta/ottant novanta/novant",
        hundred="cento/cent",
        thousand="mille/mila",
        millions="milione/milioni miliardo/miliardi",
        solid=True,
        decimal="virgola",
        ambiguous="un una sei vent trent quarant cinquant sessant settant ottant novant cent",
    ),
    "pt": NumberWords(
        units="zero um/uma dois/duas três quatro cinco seis sete oito nove dez onze doze treze catorze/quatorze quinze "
        "dezesseis/dezasseis dezessete/dezassete dezoito dezenove/dezanove",
        tens="vinte trinta quarenta cinquenta sessenta setenta oitenta noventa",
        hundred="cem/cento",
        hundreds="duzentos/duzentas trezentos/trezentas quatrocentos/quatrocentas quinhentos/quinhentas "
        "seiscentos/seiscentas setecentos/setecentas oitocentos/oitocentas novecentos/novecentas",
        thousand="mil",
        millions="milhão/milhões bilhão/bilhões",
        joiner="e",
        joins_after=frozenset({TENS, HUNDREDS, SCALE}),
        decimal="vírgula",
        ambiguous="um uma",
        lone_one="um",
    ),
    "ca": NumberWords(
        units="zero un/una/u dos/dues tres quatre cinc sis set vuit/huit nou deu onze dotze tretze catorze quinze "
        "setze disset/desset divuit/devuit/díhuit dinou/denou",
        tens="vint trenta quaranta cinquanta seixanta setanta vuitanta/huitanta noranta",
        hundred="cent/cents",
        thousand="mil",
        millions="milió/milions",
        joiner="i",
        joins_after=frozenset({TENS}),
        decimal="coma",
        ambiguous="un una u set nou deu cents",
    ),
    "ro": NumberWords(
        units="zero unu/un/una/o doi/două trei patru cinci șase șapte opt nouă zece unsprezece "
        "doisprezece/douăsprezece treisprezece paisprezece cincisprezece șaisprezece șaptesprezece optsprezece "
        "nouăsprezece",
        tens="douăzeci treizeci patruzeci cincizeci șaizeci șaptezeci optzeci nouăzeci",
        hundred="sută/sute",
        thousand="mie/mii",
        millions="milion/milioane miliard/miliarde",
        joiner="și",
        joins_after=frozenset({TENS}),
        decimal="virgulă",
        ambiguous="un una o nouă sute",
    ),
    "ru": NumberWords(
        units="ноль/нуль один/одна/одно два/две три четыре пять шесть семь восемь девять десять одиннадцать двенадцать "
        "тринадцать четырнадцать пятнадцать шестнадцать семнадцать восемнадцать девятнадцать",
        tens="двадцать тридцать сорок пятьдесят шестьдесят семьдесят восемьдесят девяносто",
        hundred="сто",
        hundreds="двести триста четыреста пятьсот шестьсот семьсот восемьсот девятьсот",
        thousand="тысяча/тысячи/тысяч",
        millions="миллион/миллиона/миллионов миллиард/миллиарда/миллиардов",
        ambiguous="один одна одно",
        lone_one="один",
    ),
    "uk": NumberWords(
        units="нуль один/одна/одне два/дві три чотири п'ять шість сім вісім дев'ять десять одинадцять дванадцять "
        "тринадцять чотирнадцять п'ятнадцять шістнадцять сімнадцять вісімнадцять дев'ятнадцять",
        tens="двадцять тридцять сорок п'ятдесят шістдесят сімдесят вісімдесят дев'яносто",
        hundred="сто",
        hundreds="двісті триста чотириста п'ятсот шістсот сімсот вісімсот дев'ятсот",
        thousand="тисяча/тисячі/тисяч",
        millions="мільйон/мільйони/мільйонів мільярд/мільярди/мільярдів",
        ambiguous="один одна одне",
        lone_one="один",
    ),
    "pl": NumberWords(
        units="zero jeden/jedna/jedno dwa/dwie trzy cztery pięć sześć siedem osiem dziewięć dziesięć jedenaście "
        "dwanaście trzynaście czternaście piętnaście szesnaście siedemnaście osiemnaście dziewiętnaście",
        tens="dwadzieścia trzydzieści czterdzieści pięćdziesiąt sześćdziesiąt siedemdziesiąt osiemdziesiąt "
        "dziewięćdziesiąt",
        hundred="sto",
        hundreds="dwieście trzysta czterysta pięćset sześćset siedemset osiemset dziewięćset",
        thousand="tysiąc/tysiące/tysięcy",
        millions="milion/miliony/milionów miliard/miliardy/miliardów",
        decimal="przecinek",
        ambiguous="jeden jedna jedno",
        lone_one="jeden",
    ),
    "cs": NumberWords(
        units="nula jeden/jedna/jedno dva/dvě tři čtyři pět šest sedm osm devět deset jedenáct dvanáct třináct "
        "čtrnáct patnáct šestnáct sedmnáct osmnáct devatenáct",
        tens="dvacet třicet čtyřicet padesát šedesát sedmdesát osmdesát devadesát",
        hundred="sto/sta/set/stě",
        thousand="tisíc/tisíce",
        millions="milion/miliony/milionů miliarda/miliardy/miliard",
        ambiguous="jeden jedna jedno sta set stě",
        lone_one="jeden",
    ),
    "lt": NumberWords(
        units="nulis vienas/viena du/dvi trys keturi/keturios penki/penkios šeši/šešios septyni/septynios "
        "aštuoni/aštuonios devyni/devynios dešimt vienuolika dvylika trylika keturiolika penkiolika šešiolika "
        "septyniolika aštuoniolika devyniolika",
        tens="dvidešimt trisdešimt keturiasdešimt penkiasdešimt šešiasdešimt septyniasdešimt aštuoniasdešimt "
        "devyniasdešimt",
        hundred="šimtas/šimtai",
        thousand="tūkstantis/tūkstančiai/tūkstančių",
        millions="milijonas/milijonai/milijonų milijardas/milijardai/milijardų",
        ambiguous="vienas viena šimtai",
        lone_one="vienas",
    ),
    "tr": NumberWords(
        units="sıfır bir iki üç dört beş altı yedi sekiz dokuz",
        tens="yirmi otuz kırk elli altmış yetmiş seksen doksan",
        hundred="yüz",
        thousand="bin",
        millions="milyon milyar",
        more={"on": 10},
        solid=True,
        decimal="virgül",
        ambiguous="bir altı yedi yüz bin",
        lone_one="bir",
        one_multiplies=False,
    ),
    "fi": NumberWords(
        units="nolla yksi kaksi kolme neljä viisi kuusi seitsemän kahdeksan yhdeksän kymmenen yksitoista kaksitoista "
        "kolmetoista neljätoista viisitoista kuusitoista seitsemäntoista kahdeksantoista yhdeksäntoista",
        tens="kaksikymmentä kolmekymmentä neljäkymmentä viisikymmentä kuusikymmentä seitsemänkymmentä "
        "kahdeksankymmentä yhdeksänkymmentä",
        hundred="sata/sataa",
        thousand="tuhat/tuhatta",
        millions="miljoona/miljoonaa miljardi/miljardia",
        solid=True,
        decimal="pilkku",
        ambiguous="yksi kuusi sataa",
        lone_one="yksi",
    ),
    "et": NumberWords(
        units="null üks kaks kolm neli viis kuus seitse kaheksa üheksa kümme üksteist kaksteist kolmteist neliteist "
        "viisteist kuusteist seitseteist kaheksateist üheksateist",
        tens="kakskümmend kolmkümmend nelikümmend viiskümmend kuuskümmend seitsekümmend kaheksakümmend üheksakümmend",
        hundred="sada",
        thousand="tuhat",
        millions="miljon/miljonit miljard/miljardit",
        solid=True,
        decimal="koma",
        ambiguous="üks kuus viis",
        lone_one="üks",
    ),
    "hu": NumberWords(
        units="nulla egy kettő/két három négy öt hat hét nyolc kilenc tíz",
        tens="húsz harminc negyven ötven hatvan hetven nyolcvan kilencven",
        hundred="száz",
        thousand="ezer",
        millions="millió milliárd",
        more={"tizen": 10, "huszon": 20},
        solid=True,
        ambiguous="egy hat hét tizen huszon",
        lone_one="egy",
    ),
    "hi": NumberWords(
        units="शून्य एक दो तीन चार पाँच/पांच छह/छः/छे सात आठ नौ दस ग्यारह बारह तेरह चौदह पंद्रह सोलह सत्रह अठारह उन्नीस",
        tens="बीस तीस चालीस पचास साठ सत्तर अस्सी नब्बे",
        hundred="सौ",
        thousand="हज़ार",
        more={"लाख": 10**5, "करोड़": 10**7, "अरब": 10**9} | _two_digits(HINDI),
        ambiguous="एक दो नौ अरब",
        lone_one="एक",
    ),
}
