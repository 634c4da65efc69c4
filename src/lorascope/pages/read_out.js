/* Hover, touch or arrow keys on a line chart: the values nearest to the pointer. The page reads without it. */
"use strict";
for (const figure of document.querySelectorAll(".ls-chart[data-series]")) {
  const series = JSON.parse(figure.dataset.series);
  const stops = [...new Set(series.flatMap((one) => one.points.map((point) => point[0])))].sort((a, b) => a - b);
  if (stops.length === 0) continue;
  for (const plot of figure.querySelectorAll(".ls-plot")) attach(plot, series, stops, figure.dataset.xLabel);
}

function attach(plot, series, stops, xLabel) {
  const ends = (name) => plot.dataset[name].split(" ").map(Number); // they change when a part is shown
  const log = plot.dataset.log !== undefined;
  const svg = plot.querySelector("svg");
  const cross = add(plot, "span", "ls-cross");
  const box = add(plot, "div", "ls-read-out");
  box.setAttribute("role", "status");
  const dots = series.map((one) => add(plot, "span", "ls-read-dot " + one.color));
  let current = -1;
  hide();

  function hide() {
    for (const part of [cross, box, ...dots]) part.hidden = true;
  }

  function show(index) {
    const [xLow, xHigh] = ends("x"), [yLow, yHigh] = ends("y");
    const first = stops.filter((stop) => stop < xLow).length, last = stops.filter((stop) => stop <= xHigh).length - 1;
    current = Math.max(0, first, Math.min(last, index)); // of those in the part that is shown
    const x = stops[current];
    const left = (x - xLow) / (xHigh - xLow);
    box.replaceChildren();
    add(box, "b", "").textContent = xLabel + " " + number(x);
    series.forEach((one, place) => {
      const point = one.points.find((candidate) => candidate[0] === x);
      dots[place].hidden = true;
      if (!point) return;
      const line = add(box, "span", "ls-read-line " + one.color);
      add(line, "span", "").textContent = one.name;
      add(line, "span", "").textContent = number(point[1]);
      if (point.length === 4) add(box, "span", "ls-read-interval").textContent =
        "[" + number(point[2]) + ", " + number(point[3]) + "]";
      if (typeof point[1] === "string" || (log && point[1] <= 0)) return;
      const up = log ? Math.log(point[1] / yLow) / Math.log(yHigh / yLow) : (point[1] - yLow) / (yHigh - yLow);
      dots[place].style.left = 100 * left + "%";
      dots[place].style.top = 100 * (1 - up) + "%";
      dots[place].hidden = up < 0 || up > 1 || left < 0 || left > 1;
    });
    cross.style.left = 100 * left + "%";
    box.style.left = left > 0.5 ? "auto" : 100 * left + "%";
    box.style.right = left > 0.5 ? 100 * (1 - left) + "%" : "auto";
    cross.hidden = box.hidden = false;
  }

  function nearest(event) {
    const frame = svg.getBoundingClientRect(), [xLow, xHigh] = ends("x");
    const x = xLow + (event.clientX - frame.left) / frame.width * (xHigh - xLow);
    let low = 0, high = stops.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (stops[middle] <= x) low = middle; else high = middle;
    }
    show(Math.abs(stops[low] - x) <= Math.abs(stops[high] - x) ? low : high);
  }

  svg.addEventListener("pointermove", nearest);
  svg.addEventListener("pointerdown", nearest);
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("blur", hide);
  svg.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
    if (event.key === "Escape") hide();
    if (!(event.key in moves)) return;
    event.preventDefault();
    show(current + moves[event.key]);
  });
}

function add(parent, name, kind) {
  const made = document.createElement(name);
  made.className = kind;
  return parent.appendChild(made);
}

function number(value) {
  if (typeof value === "string") return value;
  const size = Math.abs(value), sign = value < 0 ? "\u2212" : "";
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return sign + Number(size.toPrecision(4));
  const digits = size >= 1000 ? 7 : 4;
  return sign + Number(size.toPrecision(digits)).toLocaleString("en", { maximumFractionDigits: 6 });
}
