/* Drag over a line chart, or + and - on the keyboard: a part of it, with its own vertical axis. Double click or 0: all again. */
"use strict";
for (const figure of document.querySelectorAll(".ls-chart[data-series]")) {
  const series = JSON.parse(figure.dataset.series);
  for (const plot of figure.querySelectorAll(".ls-plot")) attachZoom(plot, series);
}

function attachZoom(plot, series) {
  const svg = plot.querySelector("svg");
  const whole = { x: plot.dataset.x, y: plot.dataset.y };
  const [xLow, xHigh] = whole.x.split(" ").map(Number);
  const [yLow, yHigh] = whole.y.split(" ").map(Number);
  const log = plot.dataset.log !== undefined;
  const drawable = (point) => typeof point[1] === "number" && (!log || point[1] > 0);
  const stops = [...new Set(series.flatMap((one) => one.points.filter(drawable).map((point) => point[0])))];
  stops.sort((a, b) => a - b);
  const counted = stops.every(Number.isInteger); // steps of training: nothing lies between two of them
  const box = made(plot, "span", "ls-zoom-box");
  const reset = made(plot, "button", "ls-zoom-reset");
  reset.type = "button";
  reset.textContent = "Show all";
  reset.addEventListener("click", all);
  box.hidden = reset.hidden = true;
  let from = null;

  const up = (y) => (log ? Math.log(y / yLow) / Math.log(yHigh / yLow) : (y - yLow) / (yHigh - yLow));

  function at(event) {
    const frame = svg.getBoundingClientRect();
    return Math.max(0, Math.min(1, (event.clientX - frame.left) / frame.width));
  }

  function view() {
    return plot.dataset.x.split(" ").map(Number);
  }

  /* A part widened, where it holds less, to the three points nearest to its middle, which leave some room. */
  function wide(low, high) {
    const inside = stops.filter((x) => x >= low && x <= high).length, least = Math.min(3, stops.length);
    if (inside >= least) return [low, high];
    const middle = (low + high) / 2;
    const near = [...stops].sort((a, b) => Math.abs(a - middle) - Math.abs(b - middle)).slice(0, least);
    const first = Math.min(...near), last = Math.max(...near), room = (last - first) / 20;
    return [Math.max(xLow, Math.min(low, first - room)), Math.min(xHigh, Math.max(high, last + room))];
  }

  function show(from, to) {
    const [low, high] = wide(from, to), [lowNow, highNow] = view();
    if (low === lowNow && high === highNow) return;
    if (low <= xLow && high >= xHigh) return all();
    const inside = series.flatMap((one) => seen(one.points, low, high));
    if (inside.length < 2) return;
    let bottom = Math.min(...inside), top = Math.max(...inside);
    const room = log ? (top / bottom) ** 0.06 || 1.06 : (top - bottom) * 0.06 || Math.abs(top) * 0.01 || 1;
    bottom = log ? bottom / Math.max(room, 1.001) : bottom - room;
    top = log ? top * Math.max(room, 1.001) : top + room;
    const left = 1000 * (low - xLow) / (xHigh - xLow), width = 1000 * (high - low) / (xHigh - xLow);
    svg.setAttribute("viewBox", [left, 1000 * (1 - up(top)), width, 1000 * (up(top) - up(bottom))].join(" "));
    plot.dataset.x = low + " " + high;
    plot.dataset.y = bottom + " " + top;
    plot.classList.add("ls-zoomed");
    reset.hidden = false;
    svg.dispatchEvent(new Event("pointerleave")); // the read-out stands where the curve was
    ticks(low, high, bottom, top);
  }

  /* Heights of a line between two ends of the axis: its points, and where it enters and leaves. */
  function seen(points, low, high) {
    const drawn = points.filter(drawable);
    const heights = drawn.filter((point) => point[0] >= low && point[0] <= high).map((point) => point[1]);
    for (const edge of [low, high]) {
      const next = drawn.findIndex((point) => point[0] > edge);
      if (next < 1) continue;
      const [x0, y0] = drawn[next - 1], [x1, y1] = drawn[next], share = (edge - x0) / (x1 - x0);
      heights.push(log ? y0 * (y1 / y0) ** share : y0 + share * (y1 - y0));
    }
    return heights;
  }

  function all() {
    svg.setAttribute("viewBox", "0 0 1000 1000");
    plot.dataset.x = whole.x;
    plot.dataset.y = whole.y;
    plot.classList.remove("ls-zoomed");
    reset.hidden = true;
    svg.dispatchEvent(new Event("pointerleave"));
    for (const old of plot.querySelectorAll(".ls-zoom-tick")) old.remove();
  }

  function ticks(low, high, bottom, top) {
    for (const old of plot.querySelectorAll(".ls-zoom-tick")) old.remove();
    for (const x of steps(low, high, 5, counted ? 1 : 0)) {
      const tick = made(plot, "span", "ls-x ls-zoom-tick");
      tick.textContent = number(x);
      tick.style.left = 100 * (x - low) / (high - low) + "%";
    }
    for (const y of steps(bottom, top, 5, 0)) {
      const tick = made(plot, "span", "ls-y ls-zoom-tick");
      const share = log ? Math.log(y / bottom) / Math.log(top / bottom) : (y - bottom) / (top - bottom);
      tick.textContent = number(y);
      tick.style.top = 100 * (1 - share) + "%";
    }
  }

  svg.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch" || event.button !== 0) return;
    from = at(event);
    svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointermove", (event) => {
    if (from === null) return;
    const to = at(event);
    box.hidden = Math.abs(to - from) * svg.clientWidth < 6;
    box.style.left = 100 * Math.min(from, to) + "%";
    box.style.width = 100 * Math.abs(to - from) + "%";
  });
  svg.addEventListener("pointerup", (event) => {
    if (from === null) return;
    const [low, high] = view(), to = at(event), first = Math.min(from, to), last = Math.max(from, to);
    from = null;
    box.hidden = true;
    if ((last - first) * svg.clientWidth >= 6) show(low + first * (high - low), low + last * (high - low));
  });
  svg.addEventListener("pointercancel", () => { from = null; box.hidden = true; });
  svg.addEventListener("dblclick", all);
  svg.addEventListener("keydown", (event) => {
    const [low, high] = view(), middle = (low + high) / 2, half = (high - low) / 2;
    if (event.key === "+" || event.key === "=") show(middle - half / 2, middle + half / 2);
    if (event.key === "-") show(Math.max(xLow, middle - 2 * half), Math.min(xHigh, middle + 2 * half));
    if (event.key === "0") all();
  });
}

/* Round numbers between two ends, about so many, at least so far apart. */
function steps(low, high, about, least) {
  const raw = (high - low) / about, unit = 10 ** Math.floor(Math.log10(raw));
  const step = Math.max(least, [1, 2, 5, 10].map((one) => one * unit).find((one) => one >= raw));
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) found.push(+value.toPrecision(12));
  return found;
}

function made(parent, name, kind) {
  const node = document.createElement(name);
  node.className = kind;
  return parent.appendChild(node);
}
