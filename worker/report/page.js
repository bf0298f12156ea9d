"use strict";
// Everything is drawn from the counts in #data; a filter chooses cells, whose counts are added up.
const D = JSON.parse(document.getElementById("data").textContent);
const S = D.stages.map(s => s[2]), OWNERS = D.stages.map(s => s[1]);
const COLOURS = ["--a", "--b", "--c", "--d", "--e", "--f", "--g", "--h"].map(c => `var(${c})`);
const colour = i => COLOURS[i % COLOURS.length];
const $ = id => document.getElementById(id);
const esc = s => String(s).replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`);
const num = n => n.toLocaleString("en");
const pct = (a, b) => b ? `${Math.round(1000 * a / b) / 10} %` : "–";
const uniq = a => [...new Set(a)].sort();
const name = s => s.replace(/_/g, " ");

function fill(id, values, all) {
  $(id).innerHTML = (all ? `<option value="">${all}</option>` : "") + values.map(v => `<option>${esc(v)}</option>`).join("");
}
const WEEKS = uniq(D.cells.map(c => c[3]));
fill("source", uniq(D.cells.map(c => c[1])), "all");
fill("campaign", uniq(D.cells.map(c => c[2])), "all");
fill("owner", uniq(OWNERS.concat(D.sla.map(r => r[1]))), "all");
fill("since", WEEKS); fill("until", WEEKS);
$("until").value = WEEKS[WEEKS.length - 1];

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
function show(id, svg, head, rows, label) {
  $(id + "-plot").innerHTML = rows.length ? svg : '<p class="soft">Nothing with these filters.</p>';
  const s = $(id + "-plot").querySelector("svg");
  if (s) { s.setAttribute("role", "img"); s.setAttribute("aria-label", label); }
  $(id + "-table").innerHTML = `<thead><tr>${head.map(h => `<th scope="col">${esc(h)}</th>`).join("")}</tr></thead><tbody>` +
    rows.map(r => `<tr>${r.map((c, i) => i ? `<td>${esc(c)}</td>` : `<th scope="row">${esc(c)}</th>`).join("")}</tr>`).join("") + "</tbody>";
}
const svg = (w, h, body) => `<svg viewBox="0 0 ${w} ${h}">${body}</svg>`;
const text = (x, y, t, more = "") => `<text x="${x}" y="${y}" ${more}>${esc(t)}</text>`;

function funnel(cells, mine) {
  const reached = byStage("reached", cells), now = byStage("current", cells), conv = byStage("converted", cells);
  const max = Math.max(1, ...reached), rows = [];
  let body = "", y = 0;
  mine.forEach(i => {
    const w = 330 * reached[i] / max, n = 330 * now[i] / max;
    body += text(0, y + 20, name(S[i])) + `<rect x="150" y="${y + 4}" width="${w}" height="24" rx="3" fill="${colour(i)}" opacity=".45"/>` +
      `<rect x="150" y="${y + 16}" width="${n}" height="12" rx="3" fill="${colour(i)}"/>` +
      text(156 + w, y + 21, `${num(reached[i])}, now ${num(now[i])}${i ? ", " + pct(conv[i - 1], reached[i - 1]) : ""}`);
    y += 36;
    rows.push([name(S[i]), num(reached[i]), num(now[i]), i ? num(conv[i - 1]) : "", i ? pct(conv[i - 1], reached[i - 1]) : ""]);
  });
  show("funnel", svg(640, y, body), ["Stage", "Ever", "Now", "From the stage before", "Share"], rows, "Funnel: contacts ever in each stage, and now");
}
function moves(cells, mine) {
  const all = sums("moves", cells).filter(m => mine.includes(m[0]) || mine.includes(m[1])).sort((a, b) => b[2] - a[2]);
  const total = S.map((_, i) => Math.max(all.filter(m => m[0] === i).reduce((t, m) => t + m[2], 0), all.filter(m => m[1] === i).reduce((t, m) => t + m[2], 0)));
  const W = 1100, H = 330, gap = (W - 60) / Math.max(1, S.length - 1), most = Math.max(1, ...total), k = 110 / most;
  const outs = S.map(() => 0), ins = S.map(() => 0);
  // From the top of a stage: what goes over others, what goes to the next, what goes back.
  const turn = ([a, b]) => b < a ? 100 + a - b : a + 1 - b;
  let body = "";
  for (const [a, b, n] of [...all].sort((p, q) => turn(p) - turn(q))) {
    const t = Math.max(1, n * k), xa = 24 + a * gap, xb = 24 + b * gap, up = b > a;
    const ya = 110 + outs[a] + t / 2, yb = 110 + ins[b] + t / 2;
    outs[a] += t; ins[b] += t;
    const path = up ? `M${xa + 12} ${ya}C${(xa + xb) / 2} ${ya - Math.min(125, (b - a - 1) * 55)},${(xa + xb) / 2} ${yb - Math.min(125, (b - a - 1) * 55)},${xb} ${yb}`
      : `M${xa + 6} ${ya}C${xa + 40} ${H - 25},${xb - 30} ${H - 25},${xb + 6} ${yb}`;
    body += `<path d="${path}" fill="none" stroke="${up ? colour(a) : "var(--b)"}" stroke-width="${t}" opacity=".45"${up ? "" : ' stroke-dasharray="6 3"'}><title>${esc(`${name(S[a])} → ${name(S[b])}: ${num(n)}`)}</title></path>`;
  }
  S.forEach((s, i) => {
    const h = Math.max(4, outs[i], ins[i]);
    body += `<rect x="${24 + i * gap}" y="110" width="12" height="${h}" fill="${colour(i)}"/>` +
      text(30 + i * gap, 96 - (S.length > 6 && i % 2 ? 18 : 0), name(s), `text-anchor="${i ? i === S.length - 1 ? "end" : "middle" : "start"}"`);
  });
  show("moves", svg(W, H, body), ["Move", "Direction", "Changes"], all.map(m => [`${name(S[m[0]])} → ${name(S[m[1]])}`, m[1] > m[0] ? "forward" : "backward", num(m[2])]), "Moves between stages, as wide as there are many; dashed ones go back");
}
function stays(cells, mine) {
  const [first, growth] = D.bin, rows = sums("stays", cells, 2), table = [];
  const X = 48, W = 640, H = 270, top = Math.max(12, ...rows.map(r => r[1])) + 1;
  const x = bin => X + (W - X - 10) * bin / top, y = s => 10 + (H - 50) * (1 - s);
  const bin = seconds => Math.log(seconds / first) / Math.log(growth);
  const long = seconds => seconds < 5400 ? `${Math.round(seconds / 60)} min` : seconds < 129600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 8640) / 10} d`;
  let body = [1, .5, 0].map(s => `<path class="l" d="M${X} ${y(s)}H${W - 10}"/>` + text(X - 6, y(s) + 4, `${s * 100} %`, 'class="t" text-anchor="end"')).join("");
  for (const [s, t] of [[3600, "1 h"], [86400, "1 d"], [604800, "1 w"], [2592000, "30 d"], [31536000, "1 y"]])
    if (bin(s) < top) body += `<path class="l" d="M${x(bin(s))} ${y(1)}V${y(0)}"/>` + text(x(bin(s)), y(0) + 16, t, 'class="t" text-anchor="middle"');
  mine.forEach((i, order) => {
    const own = rows.filter(r => r[0] === i).sort((a, b) => a[1] - b[1]);
    let risk = own.reduce((t, r) => t + r[2] + r[3], 0), s = 1, path = `M${x(0)} ${y(1)}`, half = null;
    if (!risk) return;
    const n = risk, open = own.reduce((t, r) => t + r[3], 0);
    for (const [, b, left, still] of own) {
      s *= 1 - left / risk; risk -= left + still;
      path += `H${x(b + 1)}V${y(s)}`;
      if (half === null && s <= .5) half = first * growth ** (b + 1);
    }
    body += `<path d="${path}" fill="none" stroke="${colour(i)}" stroke-width="2.5"${order > 7 ? ' stroke-dasharray="5 3"' : ""}/>` +
      `<rect x="${X + 8 + 148 * (order % 4)}" y="${H - 20 + 14 * Math.floor(order / 4)}" width="10" height="10" fill="${colour(i)}"/>` + text(X + 22 + 148 * (order % 4), H - 11 + 14 * Math.floor(order / 4), name(S[i]), 'class="t"');
    table.push([name(S[i]), num(n), num(open), half === null ? "more than half remain" : `up to ${long(half)}`]);
  });
  show("stays", svg(W, H + 12, body), ["Stage", "Visits", "Going on", "Half have left after"], table, "Share of visits that still go on, by time in stage");
}
function trend(cells, mine) {
  const rows = sums("trend", cells).filter(r => mine.includes(r[1])), weeks = uniq(rows.map(r => r[0]));
  const max = Math.max(1, ...rows.map(r => r[2])), W = 640, H = 260, x = i => 45 + (W - 60) * (weeks.length > 1 ? i / (weeks.length - 1) : .5), y = n => 15 + (H - 65) * (1 - n / max);
  let body = [0, max].map(n => `<path class="l" d="M45 ${y(n)}H${W - 10}"/>` + text(40, y(n) + 4, num(n), 'class="t" text-anchor="end"')).join("");
  const each = Math.ceil(weeks.length / 7);
  weeks.forEach((w, i) => { if (i % each === 0) body += text(x(i), H - 32, w.slice(2), `class="t" text-anchor="${i && i === weeks.length - 1 ? "end" : "middle"}"`); });
  const at = (w, i) => (rows.find(r => r[0] === w && r[1] === i) || [0, 0, 0])[2];
  mine.forEach((i, order) => {
    const points = weeks.map((w, j) => [x(j), y(at(w, i))]);
    body += `<path d="M${points.map(p => p.join(" ")).join("L")}" fill="none" stroke="${colour(i)}" stroke-width="2.5"/>` + points.map(p => `<circle cx="${p[0]}" cy="${p[1]}" r="3" fill="${colour(i)}"/>`).join("") +
      `<rect x="${45 + 148 * (order % 4)}" y="${H - 20 + 14 * Math.floor(order / 4)}" width="10" height="10" fill="${colour(i)}"/>` + text(59 + 148 * (order % 4), H - 11 + 14 * Math.floor(order / 4), name(S[i]), 'class="t"');
  });
  show("trend", svg(W, H + 12, body), ["Week", ...mine.map(i => name(S[i]))], weeks.map(w => [w, ...mine.map(i => num(at(w, i)))]), "Entries of each stage by week");
}
function grid(id, first, keyOf, cells, mine, label) {
  const keys = new Map();
  for (const row of D.reached) {
    if (!cells.has(row[0])) continue;
    const key = keyOf(cells.get(row[0]));
    const at = keys.get(key) || keys.set(key, S.map(() => 0)).get(key);
    at[row[1]] += row[2];
  }
  const size = new Map();
  for (const c of cells.values()) size.set(keyOf(c), (size.get(keyOf(c)) || 0) + c[4]);
  const order = id === "cohorts" ? [...keys].sort((a, b) => a[0] < b[0] ? -1 : 1) : [...keys].sort((a, b) => size.get(b[0]) - size.get(a[0]));
  const W = 1100, w = (W - 170) / Math.max(1, mine.length);
  let body = mine.map((i, j) => text(170 + w * (j + .5), 14, name(S[i]), 'class="t" text-anchor="middle"')).join("");
  order.slice(0, 20).forEach(([key, at], r) => {
    const n = size.get(key), y = 22 + 26 * r;
    body += text(0, y + 17, `${key.slice(0, 16)} (${num(n)})`);
    mine.forEach((i, j) => { body += `<rect x="${170 + w * j}" y="${y}" width="${w - 2}" height="24" fill="${colour(i)}" opacity="${.08 + .32 * at[i] / n}"/>` + text(170 + w * (j + .5), y + 17, pct(at[i], n), 'text-anchor="middle"'); });
  });
  show(id, svg(W, 30 + 26 * Math.min(20, order.length), body), [first, "Contacts", ...mine.map(i => name(S[i]))], order.map(([key, at]) => [key, num(size.get(key)), ...mine.map(i => num(at[i]))]), label);
}
function sla(cells) {
  const owner = $("owner").value, rows = sums("sla", cells, 3).filter(r => !owner || r[0] === owner);
  const max = Math.max(1, ...rows.map(r => r[2] + r[3] + r[4]));
  let body = "";
  rows.forEach(([who, place, kept, broken, running], i) => {
    let x = 250, y = 8 + 34 * i;
    body += text(0, y + 17, `${name(who)} on ${name(S[place])}`);
    for (const [n, c, o] of [[kept, "--c", 1], [broken, "--b", 1], [running, "--soft", .4]]) { body += `<rect x="${x}" y="${y}" width="${230 * n / max}" height="24" fill="var(${c})" opacity="${o}"/>`; x += 230 * n / max; }
    body += text(x + 6, y + 17, `${pct(kept, kept + broken)} kept`);
  });
  body += ["kept", "breached", "running"].map((t, i) => `<rect x="${250 + 110 * i}" y="${14 + 34 * rows.length}" width="10" height="10" fill="var(${["--c", "--b", "--soft"][i]})"/>` + text(265 + 110 * i, 23 + 34 * rows.length, t, 'class="t"')).join("");
  show("sla", svg(640, 30 + 34 * rows.length, body), ["Owner", "Stage", "Kept", "Breached", "Running", "Share kept"], rows.map(r => [name(r[0]), name(S[r[1]]), num(r[2]), num(r[3]), num(r[4]), pct(r[2], r[2] + r[3])]), "Promises kept, breached and running by owner");
}
function value(cells, mine) {
  const rows = sums("value", cells, 2).filter(r => mine.includes(r[0])), max = {};
  for (const r of rows) max[r[1]] = Math.max(max[r[1]] || 1, r[3]);
  const body = rows.map(([place, cur, n, amount], i) => text(0, 22 + 30 * i, `${name(S[place])} (${cur})`) + `<rect x="190" y="${5 + 30 * i}" width="${250 * amount / max[cur]}" height="22" fill="${colour(place)}" opacity=".6"/>` + text(196 + 250 * amount / max[cur], 22 + 30 * i, `${num(Math.round(amount))} ${cur}, ${num(n)} deals`)).join("");
  show("value", svg(640, 10 + 30 * rows.length, body), ["Stage", "Currency", "Deals", "Amount"], rows.map(r => [name(S[r[0]]), r[1], num(r[2]), num(r[3])]), "Open deals by stage");
}
function returned(cells, mine) {
  const rows = sums("returned", cells).filter(r => mine.includes(r[0]) || mine.includes(r[1])).sort((a, b) => b[3] - a[3]), max = Math.max(1, ...rows.map(r => r[3]));
  const body = rows.slice(0, 12).map(([a, b, why, n], i) => text(0, 20 + 28 * i, `${name(S[a])} → ${name(S[b])}: ${why || "no reason"}`) + `<rect x="370" y="${4 + 28 * i}" width="${210 * n / max}" height="22" fill="var(--b)" opacity=".6"/>` + text(376 + 210 * n / max, 20 + 28 * i, num(n))).join("");
  show("returned", svg(640, 10 + 28 * Math.min(12, rows.length), body), ["From", "To", "Reason", "Moves"], rows.map(r => [name(S[r[0]]), name(S[r[1]]), r[2] || "(none)", num(r[3])]), "Moves to a lower stage by reason");
}
function draw() {
  const cells = chosen(), owner = $("owner").value;
  const mine = S.map((_, i) => i).filter(i => !owner || OWNERS[i] === owner);
  const n = [...cells.values()].reduce((t, c) => t + c[4], 0);
  $("count").textContent = `${num(n)} of ${num(D.cells.reduce((t, c) => t + c[4], 0))} contacts${owner ? `, stages of ${name(owner)}` : ""}`;
  funnel(cells, mine); moves(cells, mine); stays(cells, mine); trend(cells, mine);
  grid("cohorts", "Week", c => c[3], cells, mine, "Share of each week's arrivals ever in each stage");
  grid("attribution", "Source", c => c[1], cells, mine, "Share of each source's contacts ever in each stage");
  sla(cells); value(cells, mine); returned(cells, mine);
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
