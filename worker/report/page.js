"use strict";
// Everything is added up from the counts in #data; a filter chooses cells. What the sums look like is said by the
// specifications in #charts, which drew what the page holds of all contacts.
const $ = id => document.getElementById(id);
const D = JSON.parse($("data").textContent), CHARTS = JSON.parse($("charts").textContent);
const S = D.stages.map(s => s[2]), OWNERS = D.stages.map(s => s[1]);
const esc = s => String(s).replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`);
const num = n => Math.round(n).toLocaleString("en");
const share = (part, whole) => whole ? part / whole : null;
const uniq = a => [...new Set(a)].sort();
const name = s => s.replace(/_/g, " ");
const total = numbers => numbers.reduce((t, n) => t + n, 0);

function fill(id, values, all) {
  $(id).innerHTML = (all ? `<option value="">${all}</option>` : "") + values.map(v => `<option>${esc(v)}</option>`).join("");
}
const WEEKS = uniq(D.cells.map(c => c[3]));
fill("source", uniq(D.cells.map(c => c[1])), "all");
fill("campaign", uniq(D.cells.map(c => c[2])), "all");
fill("owner", uniq(OWNERS.concat(D.sla.map(r => r[1]))), "all");
fill("since", WEEKS); fill("until", WEEKS);
$("until").value = WEEKS[WEEKS.length - 1];

// ------------------------------------------------------------------------------------------------------------- counts
function chosen() {
  const v = id => $(id).value, cells = new Map();
  for (const c of D.cells)
    if ((!v("source") || c[1] === v("source")) && (!v("campaign") || c[2] === v("campaign")) &&
        c[3] >= v("since") && c[3] <= v("until")) cells.set(c[0], c);
  return cells;
}
// The rows of a figure that lie in the cells, added up by the columns between the cell and the last `values` ones.
function sums(figure, cells, values = 1) {
  const found = new Map();
  for (const row of D[figure]) {
    if (!cells.has(row[0])) continue;
    const key = row.slice(1, row.length - values), id = JSON.stringify(key);
    const at = found.get(id) || found.set(id, [...key, ...Array(values).fill(0)]).get(id);
    for (let i = 0; i < values; i++) at[key.length + i] += row[row.length - values + i];
  }
  return [...found.values()];
}
function byStage(figure, cells) {
  const out = S.map(() => 0);
  for (const [place, n] of sums(figure, cells)) out[place] += n;
  return out;
}
function ever(cells, mine, column, bySize) {
  const size = new Map(), found = new Map();
  for (const c of cells.values()) size.set(c[column], (size.get(c[column]) || 0) + c[4]);
  for (const key of size.keys()) found.set(key, S.map(() => 0));
  for (const [cell, place, n] of D.reached) if (cells.has(cell)) found.get(cells.get(cell)[column])[place] += n;
  const order = [...size.keys()].sort((a, b) => bySize && size.get(b) - size.get(a) || (a < b ? -1 : 1));
  return order.flatMap((key, row) => mine.map(place => ({
    row, key, size: size.get(key), stage: S[place], place, count: found.get(key)[place] })));
}

// The rows of each figure: those of worker/report/rows.py, of the cells and of the stages in `mine`.
const ROWS = {
  funnel(cells, mine) {
    const reached = byStage("reached", cells), now = byStage("current", cells), came = byStage("converted", cells);
    if (!total(reached)) return [];
    return mine.map(place => ({
      stage: S[place], place, ever: reached[place], now: now[place], came: place ? came[place - 1] : null,
      share: place ? share(came[place - 1], reached[place - 1]) : null }));
  },
  moves(cells, mine) {
    return sums("moves", cells).filter(m => mine.includes(m[0]) || mine.includes(m[1]))
      .sort((a, b) => b[2] - a[2] || a[0] - b[0] || a[1] - b[1]).map(([from, to, count]) => ({
        move: `${S[from]} → ${S[to]}`, direction: to > from ? "forward" : "backward", from, to, count }));
  },
  stays(cells, mine) {
    const [first, growth] = D.bin, rows = sums("stays", cells, 2);
    return mine.flatMap(place => {
      const own = rows.filter(r => r[0] === place).sort((a, b) => a[1] - b[1]);
      const visits = total(own.map(r => r[2] + r[3])), open = total(own.map(r => r[3]));
      if (!visits) return [];
      let risk = visits, remain = 1, half = null;
      const points = [[first, 1]];
      for (const [, bin, left, still] of own) {
        remain *= 1 - left / risk; risk -= left + still;
        points.push([first * growth ** (bin + 1), remain]);
        if (half === null && remain <= .5) half = first * growth ** (bin + 1);
      }
      return points.map(([seconds, share]) => ({ stage: S[place], place, visits, open, half, seconds, share }));
    });
  },
  trend(cells, mine) {
    const rows = sums("trend", cells), weeks = uniq(rows.filter(r => mine.includes(r[1])).map(r => r[0]));
    const found = new Map(rows.map(r => [r[0] + r[1], r[2]]));
    return weeks.flatMap(at => mine.map(place => ({ at, stage: S[place], place, value: found.get(at + place) || 0 })));
  },
  cohorts: (cells, mine) => ever(cells, mine, 3, false),
  attribution: (cells, mine) => ever(cells, mine, 1, true),
  sla(cells) {
    const who = $("owner").value;
    return sums("sla", cells, 3).filter(r => !who || r[0] === who).sort((a, b) => a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : a[1] - b[1])
      .map(([owner, place, kept, breached, running]) => ({
        owner, stage: S[place], place, kept, breached, running, share: share(kept, kept + breached) }));
  },
  value(cells, mine) {
    return sums("value", cells, 2).filter(r => mine.includes(r[0])).sort((a, b) => a[0] - b[0] || (a[1] < b[1] ? -1 : 1))
      .map(([place, currency, deals, amount]) => ({ stage: S[place], place, currency, deals, amount }));
  },
  returned(cells, mine) {
    return sums("returned", cells).filter(r => mine.includes(r[0]) || mine.includes(r[1]))
      .sort((a, b) => b[3] - a[3] || a[0] - b[0] || a[1] - b[1] || (a[2] < b[2] ? -1 : 1))
      .map(([from, to, why, count]) => ({ from: S[from], to: S[to], place: to, reason: why || "(none)", count }));
  },
};

// ------------------------------------------------------------------------------------------------------------- shown
function long(seconds) {
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 129600 ? `${Math.round(seconds / 3600)} h` : `${(Math.round(seconds / 8640) / 10).toFixed(1)} d`;
}
function written(value, kind) {
  if (value === null) return kind === "half" ? "more than half remain" : "–";
  if (kind === "number") return num(value);
  if (kind === "share") return `${(Math.round(1000 * value) / 10).toFixed(1)} %`.replace(".0 %", " %");
  return kind === "half" ? `up to ${long(value)}` : kind === "name" ? name(value) : value;
}
function table({ columns, across }, rows) {
  const lines = new Map(), further = new Set();
  for (const row of rows) {
    const cells = columns.map(([, field, kind]) => written(row[field], kind)), id = JSON.stringify(cells);
    const line = lines.get(id) || lines.set(id, cells).get(id);
    if (across) { line.push(written(row[across], "number")); further.add(row.stage); }
  }
  const heads = [...columns.map(c => c[0]), ...further];
  return `<thead><tr>${heads.map(h => `<th scope="col">${esc(h)}</th>`).join("")}</tr></thead><tbody>` +
    [...lines.values()].map(cells => `<tr>${cells.map((c, i) => i ? `<td>${esc(c)}</td>` : `<th scope="row">${esc(c)}</th>`).join("")}</tr>`).join("") + "</tbody>";
}
// A chart is made anew beside the one that is there, and takes its place when it is done: of what an older one held,
// orders and legends would keep traces. `ast` has expressions interpreted: the page's policy lets nothing be evaluated.
const LOOK = { ast: true, actions: false, renderer: "svg", defaultStyle: false, tooltip: { disableDefaultStyle: true } };
const views = {};
let turns = 0;
async function drawn(id, rows, before, turn) {
  const older = await before;
  if (!rows.length || turn !== turns) return older;
  const { spec } = CHARTS[id], plot = $(`${id}-plot`), place = document.createElement("div");
  const data = spec.data.map(one => one.name === "rows" ? { ...one, values: rows } : one);
  place.className = "pending";
  place.ariaHidden = "true";
  plot.append(place);
  const { view } = await vegaEmbed(place, { ...spec, data }, LOOK);
  if (older) older.finalize();
  place.classList.remove("pending");
  plot.replaceChildren(place);
  return view;
}
function show(id, rows) {
  $(`${id}-plot`).hidden = !rows.length;
  $(`${id}-none`).hidden = !!rows.length;
  $(`${id}-table`).innerHTML = table(CHARTS[id], rows);
  views[id] = drawn(id, rows, views[id], turns);
}
function draw() {
  const cells = chosen(), owner = $("owner").value;
  const mine = S.map((_, i) => i).filter(i => !owner || OWNERS[i] === owner);
  const count = all => num(total(all.map(c => c[4])));
  $("count").textContent = `${count([...cells.values()])} of ${count(D.cells)} contacts${owner ? `, stages of ${name(owner)}` : ""}`;
  const turn = ++turns, figures = $("figures");
  figures.ariaBusy = "true";
  for (const id in CHARTS) show(id, ROWS[id](cells, mine));
  Promise.all(Object.values(views)).then(() => { if (turn === turns) figures.ariaBusy = "false"; });
}
$("filters").addEventListener("input", draw);
$("filters").addEventListener("submit", e => e.preventDefault());
$("filters").addEventListener("reset", () => setTimeout(() => { $("until").value = WEEKS[WEEKS.length - 1]; draw(); }));
$("theme").addEventListener("click", () => {
  const dark = (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme:dark)").matches ? "dark" : "light")) === "dark";
  document.documentElement.dataset.theme = dark ? "light" : "dark";
});
document.querySelectorAll("details").forEach(d => { d.open = false; });
window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(d => { d.open = true; }));
draw();
