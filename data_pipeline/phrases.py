"""A small grammar in five languages at once. In: drawn numbers. Out: a meaning, and how each language says it.

A pattern says the same in every language, and so do the words that fill it, in the same order: what comes out is a
sentence with its translations. A fixed share of all meanings is held out for evaluation, in every language alike.
"""

import random
import re
from dataclasses import dataclass
from hashlib import blake2b

__all__ = ["LANGUAGES", "Phrase", "draw_phrase"]

LANGUAGES = ("en", "de", "es", "fr", "it")
HELD_OUT_SHARE = 0.12  # of all meanings

WORDS: dict[str, dict[str, str]] = {
    "number": {
        "en": "one | two | three | four | five | six | seven | eight | nine | ten | eleven | twelve",
        "de": "eins | zwei | drei | vier | fünf | sechs | sieben | acht | neun | zehn | elf | zwölf",
        "es": "uno | dos | tres | cuatro | cinco | seis | siete | ocho | nueve | diez | once | doce",
        "fr": "un | deux | trois | quatre | cinq | six | sept | huit | neuf | dix | onze | douze",
        "it": "uno | due | tre | quattro | cinque | sei | sette | otto | nove | dieci | undici | dodici",
    },
    "hour": {
        "en": "two | three | four | five | six | seven | eight | nine | ten | eleven | twelve",
        "de": "zwei | drei | vier | fünf | sechs | sieben | acht | neun | zehn | elf | zwölf",
        "es": "dos | tres | cuatro | cinco | seis | siete | ocho | nueve | diez | once | doce",
        "fr": "deux | trois | quatre | cinq | six | sept | huit | neuf | dix | onze | douze",
        "it": "due | tre | quattro | cinque | sei | sette | otto | nove | dieci | undici | dodici",
    },
    "count": {
        "en": "two | three | four | five | six | seven | eight | nine | ten | twelve | fifteen | twenty | thirty",
        "de": "zwei | drei | vier | fünf | sechs | sieben | acht | neun | zehn | zwölf | fünfzehn | zwanzig | dreißig",
        "es": "dos | tres | cuatro | cinco | seis | siete | ocho | nueve | diez | doce | quince | veinte | treinta",
        "fr": "deux | trois | quatre | cinq | six | sept | huit | neuf | dix | douze | quinze | vingt | trente",
        "it": "due | tre | quattro | cinque | sei | sette | otto | nove | dieci | dodici | quindici | venti | trenta",
    },
    "day": {
        "en": "Monday | Tuesday | Wednesday | Thursday | Friday | Saturday | Sunday",
        "de": "Montag | Dienstag | Mittwoch | Donnerstag | Freitag | Samstag | Sonntag",
        "es": "lunes | martes | miércoles | jueves | viernes | sábado | domingo",
        "fr": "lundi | mardi | mercredi | jeudi | vendredi | samedi | dimanche",
        "it": "lunedì | martedì | mercoledì | giovedì | venerdì | sabato | domenica",
    },
    "colour": {
        "en": "red | green | blue | yellow | white | black",
        "de": "Rot | Grün | Blau | Gelb | Weiß | Schwarz",
        "es": "rojo | verde | azul | amarillo | blanco | negro",
        "fr": "rouge | vert | bleu | jaune | blanc | noir",
        "it": "rosso | verde | blu | giallo | bianco | nero",
    },
    "person": {
        "en": "my brother | my sister | my father | my mother | Anna",
        "de": "mein Bruder | meine Schwester | mein Vater | meine Mutter | Anna",
        "es": "mi hermano | mi hermana | mi padre | mi madre | Ana",
        "fr": "mon frère | ma sœur | mon père | ma mère | Anne",
        "it": "mio fratello | mia sorella | mio padre | mia madre | Anna",
    },
    "thing": {
        "en": "the car | the house | the book | the table | the flower | the bicycle | the chair",
        "de": "das Auto | das Haus | das Buch | der Tisch | die Blume | das Fahrrad | der Stuhl",
        "es": "el coche | la casa | el libro | la mesa | la flor | la bicicleta | la silla",
        "fr": "la voiture | la maison | le livre | la table | la fleur | le vélo | la chaise",
        "it": "la macchina | la casa | il libro | il tavolo | il fiore | la bicicletta | la sedia",
    },
    "things": {
        "en": "dogs | cats | books | apples | birds | cars | friends",
        "de": "Hunde | Katzen | Bücher | Äpfel | Vögel | Autos | Freunde",
        "es": "perros | gatos | libros | manzanas | pájaros | coches | amigos",
        "fr": "chiens | chats | livres | pommes | oiseaux | voitures | amis",
        "it": "cani | gatti | libri | mele | uccelli | macchine | amici",
    },
    "place": {
        "en": "to the station | to the school | to the market | to the beach | to the park | to the cinema",
        "de": "zum Bahnhof | zur Schule | zum Markt | zum Strand | in den Park | ins Kino",
        "es": "a la estación | a la escuela | al mercado | a la playa | al parque | al cine",
        "fr": "à la gare | à l'école | au marché | à la plage | au parc | au cinéma",
        "it": "alla stazione | alla scuola | al mercato | alla spiaggia | al parco | al cinema",
    },
}
"""What fills a pattern, by language: as many in each, the same in each place."""

PATTERNS: tuple[dict[str, str], ...] = (
    dict.fromkeys(LANGUAGES, "{number}."),
    dict.fromkeys(LANGUAGES, "{number}, {number}."),
    dict.fromkeys(LANGUAGES, "{number}, {number}, {number}."),
    {
        "en": "Today is {day}.", "de": "Heute ist {day}.", "es": "Hoy es {day}.",
        "fr": "Aujourd'hui, c'est {day}.", "it": "Oggi è {day}.",
    },
    {
        "en": "Tomorrow is {day}.", "de": "Morgen ist {day}.", "es": "Mañana es {day}.",
        "fr": "Demain, c'est {day}.", "it": "Domani è {day}.",
    },
    {
        "en": "It is {hour} o'clock.", "de": "Es ist {hour} Uhr.", "es": "Son las {hour}.",
        "fr": "Il est {hour} heures.", "it": "Sono le {hour}.",
    },
    {
        "en": "I see {count} {things}.", "de": "Ich sehe {count} {things}.", "es": "Veo {count} {things}.",
        "fr": "Je vois {count} {things}.", "it": "Vedo {count} {things}.",
    },
    {
        "en": "{person} has {count} {things}.", "de": "{person} hat {count} {things}.",
        "es": "{person} tiene {count} {things}.", "fr": "{person} a {count} {things}.",
        "it": "{person} ha {count} {things}.",
    },
    {
        "en": "{person} comes on {day} at {hour} o'clock.", "de": "{person} kommt am {day} um {hour} Uhr.",
        "es": "{person} viene el {day} a las {hour}.", "fr": "{person} vient {day} à {hour} heures.",
        "it": "{person} viene {day} alle {hour}.",
    },
    {
        "en": "We are going {place} on {day}.", "de": "Wir gehen am {day} {place}.", "es": "Vamos {place} el {day}.",
        "fr": "Nous allons {place} {day}.", "it": "Andiamo {place} {day}.",
    },
    {
        "en": "{thing} costs {count} euros.", "de": "{thing} kostet {count} Euro.",
        "es": "{thing} cuesta {count} euros.", "fr": "{thing} coûte {count} euros.",
        "it": "{thing} costa {count} euro.",
    },
    {
        "en": "{person} likes the colour {colour}.", "de": "{person} mag die Farbe {colour}.",
        "es": "A {person} le gusta el color {colour}.", "fr": "{person} aime la couleur {colour}.",
        "it": "A {person} piace il colore {colour}.",
    },
)  # fmt: skip
"""The same sentence by language; slots of the same name are filled in order, the same in each language."""

SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    """One sentence in every language."""

    texts: dict[str, str]
    """By language."""
    is_held_out: bool
    """It belongs to evaluation, in every language."""


def draw_phrase(rng: random.Random, *, held_out: bool) -> Phrase:
    """A phrase of that side; every pattern is as probable as any other that has one."""
    while (phrase := _draw(rng)).is_held_out != held_out:
        pass
    return phrase


def _draw(rng: random.Random) -> Phrase:
    pattern = rng.choice(PATTERNS)
    slots = SLOT.findall(pattern["en"])
    places = [rng.randrange(len(_words(name, "en"))) for name in slots]
    texts = {language: _fill(pattern[language], language, slots, places) for language in LANGUAGES}
    digest = blake2b(texts["en"].encode(), digest_size=8).digest()
    return Phrase(texts=texts, is_held_out=int.from_bytes(digest, "big") / 2**64 < HELD_OUT_SHARE)


def _fill(pattern: str, language: str, slots: list[str], places: list[int]) -> str:
    """``slots`` are the English pattern's; another language may have them in another order."""
    left = list(zip(slots, places, strict=True))

    def word(match: re.Match[str]) -> str:
        taken = next(slot for slot in left if slot[0] == match[1])
        left.remove(taken)
        return _words(match[1], language)[taken[1]]

    text = SLOT.sub(word, pattern)
    return text[0].upper() + text[1:]


def _words(name: str, language: str) -> list[str]:
    return WORDS[name][language].split(" | ")
