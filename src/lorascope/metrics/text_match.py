"""How close a generated answer is to its reference: exact match, bag-of-words F1 and chrF, in any script."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lorascope.errors import UndefinedMetric

# Dots and apostrophes vanish ("U.S.A." is "usa", "don't" is "dont"); other punctuation separates words.
_VANISHING = "'.\u2019\u02bc\u05f3"
# Marks that carry meaning stay: 3.14, 1,000, 1/2, 10:30, -5, .5, 5%, C#.
_MEANINGFUL = re.compile(r"(?<=\d)[.,/:](?=\d)|(?<!\w)[-.](?=[\d.]*\d)|(?<=\w)#|%")
# Letters of scripts that put no space between words count one by one: Thai to Myanmar, Khmer, kana, Han.
_SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{_SPACELESS}]|[^\s{_SPACELESS}]+")


def normalise_answer(text: str) -> str:
    """Reduce an answer to what it says: one case, one form of each character, no punctuation, single spaces.

    Width and compatibility forms are unified, superscripts are not (5 squared is not 52). Signs of numbers,
    decimal points and percent signs stay. Text made of punctuation alone is kept, so that "!" can be an
    answer.

    Args:
        text: Any text.

    Returns:
        The reduced text; empty only where the text is white space.

    Source:
        SQuAD v1.1 evaluation script (Rajpurkar et al. 2016), with three departures: Unicode punctuation in
        place of ASCII; symbols such as + and $ and the marks of numbers stay ("-5" is not "5"); the English
        articles stay, because "A" answers a multiple-choice question and "a" is a word of many languages.
    """
    folded = unicodedata.normalize("NFC", "".join(map(_compatible, text)).casefold())
    kept_at = {match.start() for match in _MEANINGFUL.finditer(folded)}
    quiet = "".join(
        char if index in kept_at or unicodedata.category(char)[0] != "P" else _in_place_of(char)
        for index, char in enumerate(folded)
    )
    return " ".join(quiet.split()) or " ".join(folded.split())


def exact_match(prediction: str, reference: str) -> bool:
    """Whether prediction and reference say the same after `normalise_answer`.

    Args:
        prediction: The model's answer; an empty one never matches.
        reference: The right answer.

    Returns:
        True where they agree.

    Raises:
        UndefinedMetric: The reference is empty, so there is nothing to match.
    """
    return normalise_answer(prediction) == _checked_reference(reference)


def token_f1(prediction: str, reference: str) -> float:
    """Overlap of the words of prediction and reference, each counted as often as it occurs in both.

        F1 = 2 * shared / (words in prediction + words in reference)

    The harmonic mean of precision and recall over bags of words. Characters of scripts without spaces between
    words (Chinese, Japanese, Thai, ...) count as one word each; split on spaces, their F1 would be all or
    nothing.

    Args:
        prediction: The model's answer; an empty one scores 0.
        reference: The right answer.

    Returns:
        A share in [0, 1].

    Raises:
        UndefinedMetric: The reference is empty.

    Source:
        SQuAD v1.1 evaluation script (Rajpurkar et al. 2016); departures as in `normalise_answer`, and words
        by script.
    """
    reference_words = Counter(_WORD.findall(_checked_reference(reference)))
    prediction_words = Counter(_WORD.findall(normalise_answer(prediction)))
    num_shared = (reference_words & prediction_words).total()
    return 2 * num_shared / (reference_words.total() + prediction_words.total())


@dataclass(frozen=True, slots=True, kw_only=True)
class ChrfScore:
    """A corpus chrF and what it takes to compare it with another one."""

    score: float
    """chrF on sacrebleu's scale, 0 to 100."""
    signature: str
    """sacrebleu's settings and version; scores compare only under equal signatures."""
    num: int
    """Pairs scored, empty predictions included."""
    num_empty: int
    """Predictions that were white space; they score 0 and stay in the corpus."""


def chrf(predictions: Sequence[str], references: Sequence[str]) -> ChrfScore:
    """Corpus chrF: F-score of character n-grams, which needs no tokenizer and suits short answers.

    One score over the summed counts of all pairs, not a mean of sentence scores. An empty prediction adds its
    reference to the recall and nothing else: silence never raises the score.

    Args:
        predictions: The model's answers.
        references: The right answer to each.

    Returns:
        The score with its signature.

    Raises:
        UndefinedMetric: No pair, unequal numbers, an empty reference, or sacrebleu is not installed.

    Source:
        Popovic 2015, "chrF: character n-gram F-score for automatic MT evaluation"; computed by sacrebleu with
        its defaults (Post 2018, "A call for clarity in reporting BLEU scores").
    """
    if len(predictions) != len(references) or not predictions:
        raise UndefinedMetric(
            f"chrF needs pairs, got {len(predictions)} predictions, {len(references)} references"
        )
    for reference in references:
        _checked_reference(reference)
    try:
        from sacrebleu.metrics.chrf import CHRF
    except ModuleNotFoundError as error:
        raise UndefinedMetric('chrF is computed by sacrebleu: pip install "lorascope[train]"') from error
    scorer = CHRF()
    result = scorer.corpus_score(list(predictions), [list(references)])
    return ChrfScore(
        score=float(result.score),
        signature=str(scorer.get_signature()),
        num=len(predictions),
        num_empty=sum(not prediction.strip() for prediction in predictions),
    )


def _compatible(char: str) -> str:
    """Unify full-width digits, ligatures and the like; leave what would change a number."""
    if unicodedata.decomposition(char).startswith(("<super>", "<sub>", "<fraction>")):
        return char
    return "-" if char in "\u2212\u2010\u2011" else unicodedata.normalize("NFKC", char)


def _in_place_of(punctuation: str) -> str:
    return "" if punctuation in _VANISHING else " "


def _checked_reference(reference: str) -> str:
    """The normalised reference, which must say something."""
    normalised = normalise_answer(reference)
    if not normalised:
        raise UndefinedMetric("the reference is empty, so no answer can match it")
    return normalised
