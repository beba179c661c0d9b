"use strict";
// Points are drawn into an array of pixels, not by the canvas's own calls: so many thousands are drawn anew each frame.

const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const sheets = [...document.getElementsByClassName("sheet")];
const N = data.names.length, C = data.classes.length;
const [x, y, confidence, margin] = ["x", "y", "confidence", "margin"].map((name) => column(name, Float32Array));
const [part, prediction] = ["part", "prediction"].map((name) => column(name, Int16Array));
const label = column("label", Int16Array).map((c) => (c < 0 ? C : c)); // C: without a label
const fields = { part, label, prediction };
const names = { part: data.parts, label: [...data.classes, "no label"], prediction: data.classes };

function column(name, Kind) {
  return new Kind(Uint8Array.from(atob(data.columns[name]), (letter) => letter.charCodeAt(0)).buffer);
}

// -- colours

const TEN = ["#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#76b7b2", "#edc948", "#ff9da7", "#9c755f", "#7f8c3b"];
const RAMP = ["#c8324a", "#e8a33d", "#5f9e78", "#2f6fa8"]; // from in doubt to sure
const dark = matchMedia("(prefers-color-scheme: dark)");
const canvas = $("map"), pen = canvas.getContext("2d", { alpha: false });
const paint = new Uint32Array(N); // the colour of each point, as it lies in memory
let background = 0;

function named(field, k) {
  if (field === "label" && k === C) return dark.matches ? "#59636f" : "#b3bac3";
  if (names[field].length <= 11) return TEN[k % 10];
  return `hsl(${(k * 137.508) % 360} 62% ${[46, 62, 34][k % 3] + (dark.matches ? 8 : 0)}%)`;
}

function packed(css) {
  pen.fillStyle = css;
  const rgb = parseInt(pen.fillStyle.slice(1), 16);
  return (0xff000000 | ((rgb & 255) << 16) | (rgb & 0xff00) | (rgb >> 16)) >>> 0;
}

function ramp(share) {
  const at = Math.min(share, 0.9999) * (RAMP.length - 1), k = Math.floor(at);
  const [a, b] = [RAMP[k], RAMP[k + 1]].map((hex) => parseInt(hex.slice(1), 16));
  const mixed = [16, 8, 0].map((shift) => {
    const [from, to] = [(a >> shift) & 255, (b >> shift) & 255];
    return Math.round(from + (to - from) * (at - k));
  });
  return `rgb(${mixed})`;
}

function recolour() {
  const by = $("by").value;
  const count = by === "margin" ? 256 : names[by].length;
  const colours = Array.from({ length: count }, (_, k) => packed(by === "margin" ? ramp(k / 255) : named(by, k)));
  for (let i = 0; i < N; i++) paint[i] = colours[by === "margin" ? Math.round(margin[i] * 255) : fields[by][i]];
  background = packed(getComputedStyle(document.body).backgroundColor);
  $("scale").hidden = by !== "margin";
  $("ramp").style.background = `linear-gradient(90deg, ${RAMP})`;
  legend($("part"), "part", by === "part");
  const field = by === "prediction" ? by : "label";
  $("which").textContent = field === "label" ? "Label" : "Prediction";
  $("class").dataset.field = field;
  legend($("class"), field, by === field);
  redraw();
}

// -- which points are shown

const off = { part: new Set(), label: new Set(), prediction: new Set() };
let order = []; // places of the points that are shown, in the order of drawing: labelled ones last, on top

function legend(box, field, coloured) {
  const counts = new Int32Array(names[field].length);
  for (const k of fields[field]) counts[k]++;
  const rows = names[field].map((name, k) => {
    const row = document.createElement("label"), tick = document.createElement("input");
    tick.type = "checkbox";
    tick.checked = !off[field].has(k);
    tick.onchange = () => (off[field][tick.checked ? "delete" : "add"](k), filter());
    row.append(tick);
    if (coloured) {
      const swatch = row.appendChild(document.createElement("span"));
      swatch.className = "swatch";
      swatch.style.background = named(field, k);
    }
    row.appendChild(document.createElement("b")).textContent = name;
    row.append(counts[k].toLocaleString("en"));
    return row;
  });
  box.replaceChildren(...rows.filter((_, k) => counts[k]));
}

function filter() {
  const most = +$("margin").value, wrong = $("wrong").checked;
  const fits = (i) =>
    !off.part.has(part[i]) && !off.label.has(label[i]) && !off.prediction.has(prediction[i]) &&
    (most === 1 || margin[i] <= most) && (!wrong || (label[i] < C && label[i] !== prediction[i]));
  order = [];
  for (let i = N - 1; i >= 0; i--) if (fits(i)) order.push(i);
  $("most").textContent = most.toFixed(2);
  $("count").textContent = `${order.length.toLocaleString("en")} of ${N.toLocaleString("en")} images`;
  show(-1);
  redraw();
}

function tickAll(on) {
  const field = $("class").dataset.field;
  off[field] = new Set(on ? [] : names[field].keys());
  recolour();
  filter();
}

// -- drawing

let view = { x: 0, y: 0, scale: 1 }; // what is in the middle, and pixels of the screen a unit
let pixels = null, words = null, ratio = 1, waiting = false;

function fit() {
  let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
  for (let i = 0; i < N; i++) {
    left = Math.min(left, x[i]), right = Math.max(right, x[i]);
    low = Math.min(low, y[i]), high = Math.max(high, y[i]);
  }
  const scale = 0.92 * Math.min(canvas.width / (right - left || 1), canvas.height / (high - low || 1));
  view = { x: (left + right) / 2, y: (low + high) / 2, scale, first: scale };
}

function resize() {
  const before = canvas.width, box = $("field").getBoundingClientRect();
  ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(box.width * ratio));
  canvas.height = Math.max(1, Math.round(box.height * ratio));
  pixels = pen.createImageData(canvas.width, canvas.height);
  words = new Uint32Array(pixels.data.buffer);
  if (view.first) view.scale *= canvas.width / before, view.first *= canvas.width / before;
  else fit();
  draw();
}

function disc(radius) {
  const found = [], reach = Math.ceil(radius);
  for (let dy = -reach; dy <= reach; dy++)
    for (let dx = -reach; dx <= reach; dx++) {
      const cover = Math.min(1, radius + 0.5 - Math.hypot(dx, dy));
      if (cover > 0) found.push([dx, dy, cover]);
    }
  return found;
}

function draw() {
  const width = canvas.width, height = canvas.height, { scale } = view;
  const radius = ratio * Math.min(7, Math.max(1.6, 2.4 * Math.sqrt(Math.min(1, 5000 / N)) + 1) * (scale / view.first) ** 0.25);
  const mask = disc(radius), dxs = mask.map((m) => m[0]), dys = mask.map((m) => m[1]), covers = mask.map((m) => m[2]);
  words.fill(background);
  for (let k = 0; k < order.length; k++) {
    const i = order[k], colour = paint[i];
    const px = Math.round((x[i] - view.x) * scale + width / 2), py = Math.round((view.y - y[i]) * scale + height / 2);
    if (px < -8 * ratio || py < -8 * ratio || px > width + 8 * ratio || py > height + 8 * ratio) continue;
    for (let m = 0; m < dxs.length; m++) {
      const ax = px + dxs[m], ay = py + dys[m];
      if (ax < 0 || ay < 0 || ax >= width || ay >= height) continue;
      const at = ay * width + ax;
      words[at] = covers[m] === 1 ? colour : mix(words[at], colour, covers[m]);
    }
  }
  pen.putImageData(pixels, 0, 0);
  if (current >= 0) place(current);
}

function mix(under, over, cover) {
  const even = under & 0xff00ff, odd = (under >> 8) & 0xff, part = Math.round(cover * 256);
  const evens = (even + ((((over & 0xff00ff) - even) * part) >> 8)) & 0xff00ff;
  const odds = odd + (((((over >> 8) & 0xff) - odd) * part) >> 8);
  return (0xff000000 | evens | (odds << 8)) >>> 0;
}

function redraw() {
  if (waiting || !words) return;
  waiting = true;
  requestAnimationFrame(() => ((waiting = false), draw()));
}

function where(i) {
  return [(x[i] - view.x) * view.scale + canvas.width / 2, (view.y - y[i]) * view.scale + canvas.height / 2].map((v) => v / ratio);
}

function nearest(px, py, reach) {
  const [ax, ay] = [view.x + (px * ratio - canvas.width / 2) / view.scale, view.y - (py * ratio - canvas.height / 2) / view.scale];
  let best = -1, least = ((reach * ratio) / view.scale) ** 2;
  for (const i of order) {
    const far = (x[i] - ax) ** 2 + (y[i] - ay) ** 2;
    if (far <= least) [best, least] = [i, far];
  }
  return best;
}

function zoom(px, py, factor) {
  const scale = Math.min(Math.max(view.scale * factor, view.first / 4), view.first * 500);
  const [dx, dy] = [px * ratio - canvas.width / 2, py * ratio - canvas.height / 2];
  view.x += dx / view.scale - dx / scale;
  view.y -= dy / view.scale - dy / scale;
  view.scale = scale;
  redraw();
}

function pan(dx, dy) {
  view.x -= (dx * ratio) / view.scale;
  view.y += (dy * ratio) / view.scale;
  redraw();
}

// -- the image under the pointer

const pictures = new Map(); // sheet -> its picture, decoded when it is needed first
let current = -1;

function picture(sheet) {
  if (!pictures.has(sheet)) {
    const image = new Image();
    image.src = `data:image/jpeg;base64,${sheets[sheet].textContent}`;
    pictures.set(sheet, image.decode().then(() => image));
  }
  return pictures.get(sheet);
}

async function thumbnail(i, to, wanted = () => true) {
  const { side, cell, across } = data.thumbnails, k = i % across ** 2;
  const image = await picture(Math.floor(i / across ** 2));
  if (!wanted()) return;
  to.width = to.height = side;
  to.getContext("2d").drawImage(image, (k % across) * cell, Math.floor(k / across) * cell, side, side, 0, 0, side, side);
}

function told(i) {
  const is = label[i] < C ? data.classes[label[i]] : "none";
  return `${data.names[i]}\nlabel: ${is}\nprediction: ${data.classes[prediction[i]]}, ${confidence[i].toFixed(2)}\n` +
    `margin: ${margin[i].toFixed(2)}\npart: ${data.parts[part[i]]}`;
}

function show(i) {
  if (i === current) return;
  current = i;
  $("card").hidden = $("ring").hidden = i < 0;
  if (i < 0) return;
  $("card").lastElementChild.textContent = told(i);
  thumbnail(i, $("card").firstElementChild, () => i === current);
  place(i);
}

function place(i) {
  const [px, py] = where(i), card = $("card"), box = $("field");
  $("ring").style.transform = `translate(${px}px, ${py}px)`;
  const left = px + 16 + card.offsetWidth > box.clientWidth ? px - 16 - card.offsetWidth : px + 16;
  const top = Math.max(4, Math.min(py - 20, box.clientHeight - card.offsetHeight - 4));
  card.style.transform = `translate(${Math.max(4, left)}px, ${top}px)`;
}
