
// -- images that are kept

const kept = new Set();
const PICTURES = 200; // of the kept ones, at most

function keep(some, also = false) {
  for (const i of some) if (!also && kept.has(i)) kept.delete(i); else kept.add(i);
  const list = [...kept];
  $("number").textContent = list.length.toLocaleString("en");
  $("list").value = list.map((i) => data.names[i]).join("\n");
  $("list").hidden = $("do").hidden = !list.length;
  $("thumbs").replaceChildren(...list.slice(-PICTURES).map((i) => {
    const button = document.createElement("button"), small = document.createElement("canvas");
    button.title = `${data.names[i]}: no longer keep it`;
    button.setAttribute("aria-label", button.title);
    button.onclick = () => keep([i]);
    button.append(small);
    thumbnail(i, small);
    return button;
  }));
}

function csv() {
  const cell = (text) => {
    const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text; // no spreadsheet takes it for a formula
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const rows = [...kept].map((i) => {
    const suggested = data.classes[prediction[i]], is = label[i] < C ? data.classes[label[i]] : "";
    return [data.names[i], is, suggested, margin[i].toFixed(4), data.parts[part[i]]];
  });
  return [["file", "label", "suggested", "margin", "part"], ...rows].map((row) => `${row.map(cell).join(",")}\n`).join("");
}

$("copy").onclick = () => ($("list").select(), document.execCommand("copy")); // works in a file, too
$("clear").onclick = () => keep([...kept]);
$("save").onclick = () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = "kept.csv";
  link.click();
  URL.revokeObjectURL(link.href);
};

// -- pointer, wheel, keys

const fingers = new Map(); // pointer -> where it is
let moved = 0, corner = null; // how far since it went down; where a box began

function at(event) {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

canvas.onpointerdown = (event) => {
  canvas.setPointerCapture?.(event.pointerId);
  fingers.set(event.pointerId, at(event));
  moved = 0;
  corner = event.shiftKey ? at(event) : null;
};

canvas.onpointermove = (event) => {
  const [px, py] = at(event), before = fingers.get(event.pointerId);
  if (!before) return show(nearest(px, py, 14));
  moved += Math.hypot(px - before[0], py - before[1]);
  const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
  if (corner) box(px, py);
  else if (other) {
    const [now, then] = [[px, py], before].map((p) => Math.hypot(p[0] - other[0], p[1] - other[1]));
    zoom((px + other[0]) / 2, (py + other[1]) / 2, now / (then || 1));
  } else pan(px - before[0], py - before[1]);
  fingers.set(event.pointerId, [px, py]);
};

canvas.onpointerup = (event) => {
  const [px, py] = at(event), reached = corner && moved > 4;
  if (reached) keep(within(corner, [px, py]), true);
  else if (moved <= 4) {
    const i = nearest(px, py, 14);
    if (i >= 0) show(i), keep([i]);
  }
  lift(event);
};
canvas.onpointercancel = lift;
canvas.onpointerleave = () => fingers.size || show(-1);

function lift(event) {
  fingers.delete(event.pointerId);
  corner = null;
  $("box").hidden = true;
}

function box(px, py) {
  const style = $("box").style;
  $("box").hidden = false;
  style.left = `${Math.min(px, corner[0])}px`, style.top = `${Math.min(py, corner[1])}px`;
  style.width = `${Math.abs(px - corner[0])}px`, style.height = `${Math.abs(py - corner[1])}px`;
}

function within(a, b) {
  const [left, right] = [a[0], b[0]].sort((p, q) => p - q), [top, low] = [a[1], b[1]].sort((p, q) => p - q);
  return order.filter((i) => {
    const [px, py] = where(i);
    return px >= left && px <= right && py >= top && py <= low;
  });
}

canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(...at(event), Math.exp(-event.deltaY * (event.deltaMode ? 16 : 1) * 0.0015));
}, { passive: false });

const KEYS = {
  ArrowLeft: () => pan(60, 0), ArrowRight: () => pan(-60, 0), ArrowUp: () => pan(0, 60), ArrowDown: () => pan(0, -60),
  "+": () => middle(1.25), "=": () => middle(1.25), "-": () => middle(0.8), 0: () => (fit(), redraw()),
  Enter: () => current >= 0 && keep([current]), Escape: () => {},
};

function middle(factor) {
  zoom(canvas.width / ratio / 2, canvas.height / ratio / 2, factor);
}

canvas.onkeydown = (event) => {
  const act = !event.ctrlKey && !event.metaKey && KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
  const reach = Math.hypot(canvas.width, canvas.height);
  if (event.key === "Escape") show(-1);
  else if (event.key !== "Enter") show(nearest(canvas.width / ratio / 2, canvas.height / ratio / 2, reach));
};

// -- begin

$("by").onchange = recolour;
$("margin").oninput = $("wrong").onchange = filter;
$("all").onclick = () => tickAll(true);
$("none").onclick = () => tickAll(false);
dark.addEventListener("change", recolour);
if (data.thumbnails.side > 32) $("card").firstElementChild.style.imageRendering = "auto";
recolour();
filter();
new ResizeObserver(resize).observe($("field"));
requestAnimationFrame(() => requestAnimationFrame(() => (document.documentElement.dataset.ready = "yes")));
