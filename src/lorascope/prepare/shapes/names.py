"""The names under which data keep prompts, contexts and answers, in the languages met most."""

PROMPTS = ("prompt", "question", "query", "instruction", "input")
CONTEXTS = ("context", "input")
CHOSEN = ("chosen", "response_j", "chosen_response", "preferred")
REJECTED = ("rejected", "response_k", "rejected_response", "dispreferred")

INSTRUCTIONS = (("instruction", "output"), ("instruction", "response"), ("instruction", "completion"))
"""Alpaca, Dolly and their kin: the instruction and its answer."""

PAIRS = (
    ("prompt", "completion"),
    ("prompt", "response"),
    ("prompt", "answer"),
    ("prompt", "output"),
    ("question", "answer"),
    ("question", "response"),
    ("query", "response"),
    ("query", "answer"),
    ("problem", "solution"),
    ("problem", "answer"),
    ("user", "assistant"),
    ("human", "assistant"),
    ("input", "output"),
    ("input", "response"),
    ("input", "target"),
    ("inputs", "targets"),
    ("source_text", "translated_text"),
    ("source_text", "target_text"),
    ("source", "target"),
    ("src", "tgt"),
    ("document", "summary"),
    ("article", "highlights"),
    ("article", "summary"),
    ("\u8cea\u554f", "\u56de\u7b54"),  # Japanese: shitsumon, kaitou; Chinese in traditional letters
    ("\u8d28\u95ee", "\u56de\u7b54"),
    ("\u95ee\u9898", "\u56de\u7b54"),  # Chinese: wenti, huida
    ("\u95ee\u9898", "\u7b54\u6848"),  # wenti, da'an
    ("\u554f\u984c", "\u56de\u7b54"),  # the same in traditional letters
    ("\u554f\u984c", "\u7b54\u6848"),
    ("\u6307\u4ee4", "\u8f93\u51fa"),  # zhiling, shuchu
    ("\uc9c8\ubb38", "\ub2f5\ubcc0"),  # Korean: jilmun, dapbyeon
    ("\u0432\u043e\u043f\u0440\u043e\u0441", "\u043e\u0442\u0432\u0435\u0442"),  # Russian: vopros, otvet
    ("\u0633\u0624\u0627\u0644", "\u062c\u0648\u0627\u0628"),  # Arabic: su'al, jawab
    ("\u0627\u0644\u0633\u0624\u0627\u0644", "\u0627\u0644\u062c\u0648\u0627\u0628"),  # the same, "the"
    ("pregunta", "respuesta"),
    ("pergunta", "resposta"),
    ("question", "r\u00e9ponse"),
    ("question", "reponse"),
    ("frage", "antwort"),
    ("domanda", "risposta"),
    ("soru", "cevap"),
)
"""Prompt and answer; the first pair whose columns are both there is taken."""


def known_prompts() -> tuple[str, ...]:
    """Every name of a prompt."""
    return tuple(dict.fromkeys([*PROMPTS, *(prompt for prompt, _ in PAIRS)]))


def known_answers() -> tuple[str, ...]:
    """Every name of an answer."""
    return tuple(dict.fromkeys([*(answer for _, answer in (*INSTRUCTIONS, *PAIRS)), *CHOSEN]))
