"""Numbers -> the text that stands for them in tables, axes and read-outs."""

import math

MINUS = "\u2212"


def number_text(value: float | int, digits: int = 4) -> str:
    """Write a number for people: significant digits, thousands separators, a true minus sign.

    Args:
        value: The number; a whole `int` is written in full.
        digits: Significant digits of a float.

    Returns:
        "1,234", "0.01235", "1.2e-5"; "not finite" for NaN and infinities, which no page may pass off as a
        number.
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace("-", MINUS)
    if not math.isfinite(value):
        return "not finite"
    if value != 0 and not 1e-3 <= abs(value) < 1e7:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        text = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    else:
        # The exponent of the rounded value: 9.9996 has four digits as 10.00, not as 10.000.
        exponent_text = f"{value:.{digits - 1}e}".split("e")[1]
        text = f"{value:,.{max(0, digits - 1 - int(exponent_text))}f}"
    return text.replace("-", MINUS, 1) if value < 0 else text


def position_text(value: float) -> str:
    """Write where something stands, such as a step: whole positions in full, whatever their type.

    Args:
        value: The position.

    Returns:
        "1,200" for 1200 and for 1200.0; otherwise as `number_text`.
    """
    return number_text(int(value) if math.isfinite(value) and float(value).is_integer() else value)


def interval_text(estimate: float, low: float, high: float) -> str:
    """Write an estimate with its interval, all to the same decimals: two digits of the half-width.

    More digits would claim a precision that the interval denies.

    Args:
        estimate: The estimate.
        low: Lower end.
        high: Upper end.

    Returns:
        "-0.012 [-0.035, 0.011]", with true minus signs; "not finite" in place of an end that is not finite.
    """
    half_width = (high - low) / 2
    if not 1e-6 < half_width < 1e15:  # also false for NaN
        return f"{number_text(estimate)} [{number_text(low)}, {number_text(high)}]"
    decimals = max(0, 1 - math.floor(math.log10(half_width)))
    # + 0.0 turns a rounded -0.0 into 0.0.
    texts = [f"{round(value, decimals) + 0.0:,.{decimals}f}" for value in (estimate, low, high)]
    written = [text.replace("-", MINUS) for text in texts]
    return f"{written[0]} [{written[1]}, {written[2]}]"


def tick_texts(ticks: tuple[float, ...]) -> tuple[str, ...]:
    """Write the numbers of one axis alike: decimals that tell them apart, one exponent where they are tiny.

    Args:
        ticks: The marked values of an axis, in order.

    Returns:
        One text each: ("0", "0.5", "1.0") becomes ("0.0", "0.5", "1.0"); (0, 5e-5, 1e-4) is "0", "0.5e-4",
        "1e-4".
    """
    highest = max((abs(tick) for tick in ticks), default=0.0)
    if highest == 0:
        return tuple("0" for _ in ticks)
    exponent = math.floor(math.log10(highest) + 1e-9)
    if exponent < -3 or exponent > 6:
        texts = [f"{round(tick / 10**exponent, 6):g}e{exponent}" if tick else "0" for tick in ticks]
    else:
        decimals = next((n for n in range(8) if all(abs(round(t, n) - t) < 1e-9 * highest for t in ticks)), 8)
        texts = [f"{tick + 0.0:,.{decimals}f}" for tick in ticks]
    return tuple(
        text.replace("-", MINUS, 1) if tick < 0 else text for tick, text in zip(ticks, texts, strict=True)
    )
