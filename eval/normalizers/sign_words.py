"""How a sign beside a number is read: language → sign → its word after 1 and after other numbers.

A third form is for 5 and more, where Russian has one. Languages with other plurals are left out: there a sign is
dropped like punctuation. Knows no rule.
"""

from collections.abc import Mapping

__all__ = ["SCALES_AFTER_MONEY", "SIGN_WORDS"]

Forms = tuple[str, ...]


def _forms(text: str) -> Mapping[str, Forms]:
    """``"$ dollar dollars, % percent"`` → the table of one language; "_" is a blank, "{}" where the number stands."""
    table: dict[str, Forms] = {}
    for entry in text.split(","):
        sign, one, *many = (form.replace("_", " ") for form in entry.split())
        table[sign] = (one, *(many or [one]))
    return table


SIGN_WORDS: Mapping[str, Mapping[str, Forms]] = {
    "en": _forms("% percent, $ dollar dollars, € euro euros, £ pound pounds, ° degree degrees, & and"),
    "es": _forms("% porciento, $ dólar dólares, € euro euros, £ libra libras, ° grado grados, & y"),
    "fr": _forms("% pourcent, $ dollar dollars, € euro euros, £ livre livres, ° degré degrés, & et"),
    "de": _forms("% prozent, $ dollar, € euro, £ pfund, ° grad, & und"),
    "it": _forms("% percento, $ dollaro dollari, € euro, £ sterlina sterline, ° grado gradi, & e"),
    "pt": _forms("% porcento, $ dólar dólares, € euro euros, £ libra libras, ° grau graus, & e"),
    "nl": _forms("% procent, $ dollar, € euro, £ pond, ° graad graden, & en"),
    "ca": _forms("% percent, $ dòlar dòlars, € euro euros, £ lliura lliures, ° grau graus, & i"),
    "sv": _forms("% procent, $ dollar, € euro, £ pund, ° grad grader, & och"),
    "da": _forms("% procent, $ dollar, € euro, £ pund, ° grad grader, & og"),
    "no": _forms("% prosent, $ dollar, € euro, £ pund, ° grad grader, & og"),
    "ro": _forms("% procent procente, $ dolar dolari, € euro, £ liră lire, ° grad grade, & și"),
    "fi": _forms("% prosentti prosenttia, $ dollari dollaria, € euro euroa, £ punta puntaa, ° aste astetta, & ja"),
    "hu": _forms("% százalék, $ dollár, € euró, £ font, ° fok, & és"),
    "et": _forms("% protsent protsenti, $ dollar dollarit, € euro eurot, £ nael naela, ° kraad kraadi, & ja"),
    "ru": _forms("% процент процента процентов, $ доллар доллара долларов, € евро, ° градус градуса градусов, & и"),
    "pl": _forms("% procent, & i"),
    "hi": _forms("% प्रतिशत, $ डॉलर, & और"),
    "id": _forms("% persen, $ dolar, € euro, & dan"),
    "vi": _forms("% phần_trăm, $ đô_la"),
    "tr": _forms("% yüzde_{}, $ dolar, € euro, ₺ lira, ° derece, & ve"),
    "zh": _forms("% 百分之{}, $ 美元, € 欧元, ¥ 元"),
    "ja": _forms("% パーセント, $ ドル, € ユーロ, ¥ 円, ° 度"),
}
SCALES_AFTER_MONEY: Mapping[str, tuple[str, ...]] = {
    "en": ("thousand", "million", "billion", "trillion"),
    "es": ("mil", "millón", "millones"),
    "fr": ("mille", "million", "millions", "milliard", "milliards"),
    "de": ("tausend", "million", "millionen", "milliarde", "milliarden"),
}
