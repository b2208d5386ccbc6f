"""Words with more than one spelling, by language: old form = the form that is compared. In: nothing. Out: tables.

A pair stands here only if the two are one word, read alike: éste is este, but aún is not aun. Forms come in lower case,
"," between pairs. Knows no rule.
"""

from collections.abc import Mapping

__all__ = ["ABBREVIATIONS", "COMPOUNDS", "FILLERS", "SPELLINGS"]

Table = dict[str, str]


def _pairs(text: str) -> Table:
    return dict(pair.strip().split("=") for pair in text.replace("\n", " ").split(",") if pair.strip())


UNITS = "first second third fourth fifth sixth seventh eighth ninth"
TEENS = "tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth"
ROUND = "twentieth thirtieth fortieth fiftieth sixtieth seventieth eightieth ninetieth"
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"


def _ordinals() -> Table:
    """1st = first, 20th = twentieth: the word, as digits are rare for it."""
    values = (*range(1, 20), *range(20, 100, 10))
    words = f"{UNITS} {TEENS} {ROUND}".split()
    return {_ordinal(value): word for value, word in zip(values, words, strict=True)}


def _long_ordinals() -> Table:
    """Twenty first = 21st; a twenty second delay is none of them."""
    return {
        f"{tens} {unit}": _ordinal(20 + 10 * i + j)
        for i, tens in enumerate(TENS.split())
        for j, unit in enumerate(UNITS.split(), start=1)
        if unit != "second"
    }


def _ordinal(value: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{value}{'th' if 10 < value < 20 else endings.get(value % 10, 'th')}"


FILLERS: Mapping[str, frozenset[str]] = {
    "en": frozenset(
        {"uh", "uhh", "um", "umm", "uhm", "hm", "hmm", "mm", "mmm", "mhm", "mhmm"}
    ),  # Whisper paper, app. C
}
ABBREVIATIONS: Mapping[str, Table] = {
    "en": _pairs("mr=mister, mrs=missus, dr=doctor, jr=junior, vs=versus, etc=et cetera, ok=okay"),
    "es": _pairs(
        "sr=señor, sra=señora, srta=señorita, sres=señores, dr=doctor, dra=doctora, ud=usted, uds=ustedes, etc=etcétera"
    ),
    "fr": _pairs("mme=madame, mmes=mesdames, mlle=mademoiselle, dr=docteur"),
    "de": _pairs("dr=doktor, zb=zum beispiel, usw=und so weiter, bzw=beziehungsweise, nr=nummer, ca=circa"),
    "it": _pairs("sig=signor, ecc=eccetera"),
    "pt": _pairs("sr=senhor, sra=senhora, dr=doutor, dra=doutora"),
    "ca": _pairs("sr=senyor, sra=senyora, dr=doctor, dra=doctora"),
    "nl": _pairs("dhr=de heer, mevr=mevrouw, enz=enzovoort, bijv=bijvoorbeeld"),
    "pl": _pairs("np=na przykład, itd=i tak dalej, itp=i tym podobne, dr=doktor"),
    "cs": _pairs("např=například, atd=a tak dále, tzv=takzvaný"),
    "sv": _pairs("dr=doktor, osv=och så vidare"),
}
SPELLINGS: Mapping[str, Table] = {
    "en": _pairs(
        "cannot=can not, gonna=going to, wanna=want to, gotta=got to, alright=all right, noone=no one, "
        "icecream=ice cream, longterm=long term"
    )
    | _ordinals(),
    "de": _pairs(
        "daß=dass, muß=muss, mußte=musste, mußten=mussten, läßt=lässt, laß=lass, wußte=wusste, wußten=wussten, "
        "bißchen=bisschen, schloß=schloss, fluß=fluss, kuß=kuss, gewiß=gewiss, schluß=schluss, prozeß=prozess, "
        "strasse=straße, strassen=straßen, gross=groß, grosse=große, grossen=großen, grosser=großer, grosses=großes, "
        "grösse=größe, heisst=heißt, heissen=heißen, ausserdem=außerdem, fuss=fuß, füsse=füße, weiss=weiß, "
        "dreissig=dreißig, geht's=gehts, gibt's=gibts, hab's=habs, photo=foto, telephon=telefon"
    ),
    "es": _pairs(
        "sólo=solo, éste=este, ésta=esta, éstos=estos, éstas=estas, ése=ese, ésa=esa, ésos=esos, ésas=esas, "
        "aquél=aquel, aquélla=aquella, aquéllos=aquellos, guión=guion, período=periodo, vídeo=video, vídeos=videos, "
        "setiembre=septiembre"
    ),
    "fr": _pairs("évènement=événement, évènements=événements, clef=clé, clefs=clés, connaitre=connaître, aout=août"),
    "hi": _pairs(
        "हां=हाँ, कहां=कहाँ, यहां=यहाँ, वहां=वहाँ, जहां=जहाँ, मां=माँ, पांच=पाँच, गांव=गाँव, आंख=आँख, आंखें=आँखें, दांत=दाँत, मुंह=मुँह, "
        "हूं=हूँ, गये=गए, गयी=गई, हुये=हुए, हुयी=हुई, लिये=लिए, चाहिये=चाहिए, नयी=नई, फोन=फ़ोन, जरूरी=ज़रूरी, ज्यादा=ज़्यादा, "
        "सिर्फ=सिर्फ़, बाजार=बाज़ार, जिंदगी=ज़िंदगी, हफ्ता=हफ़्ता, हफ्ते=हफ़्ते, हजार=हज़ार, अंग्रेजी=अंग्रेज़ी, आजादी=आज़ादी, खबर=ख़बर"
    ),
    "it": _pairs(
        "perchè=perché, poichè=poiché, finchè=finché, affinchè=affinché, benchè=benché, cosí=così, piú=più, giú=giù, "
        "puó=può, nè=né"
    ),
    "pt": _pairs(
        "acção=ação, acções=ações, óptimo=ótimo, óptima=ótima, projecto=projeto, projectos=projetos, director=diretor, "
        "directo=direto, directa=direta, actual=atual, actualmente=atualmente, exacto=exato, objectivo=objetivo, "
        "econômico=económico, econômica=económica, fenômeno=fenómeno, gênero=género, idéia=ideia, idéias=ideias, "
        "vôo=voo, vôos=voos, tranqüilo=tranquilo, freqüente=frequente, freqüência=frequência, "
        "conseqüência=consequência, cinqüenta=cinquenta, lingüiça=linguiça, prêmio=prémio, bebê=bebé, "
        "quilômetro=quilómetro, quilômetros=quilómetros"
    ),
    "ro": _pairs(
        "cînd=când, pînă=până, sînt=sunt, sîntem=suntem, atît=atât, cît=cât, rînd=rând, gînd=gând, mîine=mâine"
    ),
    "sv": _pairs("mej=mig, dej=dig, sej=sig"),
    "tr": _pairs("kâğıt=kağıt, rüzgâr=rüzgar, dükkân=dükkan, mekân=mekan, imkân=imkan, hikâye=hikaye"),
    "uk": _pairs("проект=проєкт, проекту=проєкту, проекти=проєкти, проектів=проєктів"),
    "vi": _pairs("kĩ=kỹ, mĩ=mỹ, kì=kỳ, lí=lý, tỉ=tỷ, quí=quý"),
}
EMAIL = "e mail=email, e mails=emails"
COMPOUNDS: Mapping[str, Table] = {
    "en": _pairs(
        f"{EMAIL}, web site=website, web sites=websites, web page=webpage, on line=online, voice mail=voicemail, "
        "per cent=percent, a m=am, p m=pm, e g=eg, co operate=cooperate, co operation=cooperation, "
        "co ordinate=coordinate, co ordination=coordination, wi fi=wifi, good bye=goodbye, on going=ongoing, "
        "under way=underway, t shirt=tshirt, t shirts=tshirts, x ray=xray, health care=healthcare, "
        "child care=childcare, week end=weekend, data base=database, world wide=worldwide"
    )
    | _long_ordinals(),
    "es": _pairs(f"{EMAIL}, por ciento=porciento"),
    "fr": _pairs(f"{EMAIL}, pour cent=pourcent, week end=weekend, aujourd hui=aujourd'hui"),
    "de": _pairs(
        f"{EMAIL}, so dass=sodass, auf grund=aufgrund, mit hilfe=mithilfe, zu hause=zuhause, an stelle=anstelle, "
        "kennen lernen=kennenlernen, z b=zum beispiel, d h=das heißt"
    ),
    "it": _pairs(f"{EMAIL}, per cento=percento"),
    "pt": _pairs(f"{EMAIL}, por cento=porcento"),
    "nl": _pairs(EMAIL),
    "ca": _pairs(f"{EMAIL}, per cent=percent"),
    "sv": _pairs("e post=epost, i dag=idag, i går=igår, i morgon=imorgon, i kväll=ikväll, t ex=till exempel"),
    "no": _pairs("e post=epost"),
    "da": _pairs(EMAIL),
    "pl": _pairs("e mail=email, e maile=emaile"),
    "cs": _pairs("e mail=email"),
    "hu": _pairs("e mail=email"),
    "ro": _pairs("e mail=email"),
    "tr": _pairs("e posta=eposta"),
    "et": _pairs("e post=epost, e kiri=ekiri"),
}
