// Chooses a part of a photo, by pointer or by numbers.

const dialog = document.getElementById("boxing");
const picture = dialog.querySelector("img");
const frame = dialog.querySelector(".frame");
const box = dialog.querySelector(".box");
const form = dialog.querySelector("form");
const NAMES = ["x1", "y1", "x2", "y2"];

let size = { width: 1, height: 1 };
let start = null;

// The part that is chosen, [left, top, right, bottom] in pixels; null for all of the
// photo; undefined where nothing was chosen.
export function boxOf(address, ofPhoto, before) {
  size = ofPhoto;
  picture.src = address;
  fill(before ?? [0, 0, size.width, size.height]);
  dialog.returnValue = "cancel";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      if (dialog.returnValue === "use") resolve(values());
      else resolve(dialog.returnValue === "whole" ? null : undefined);
    }, { once: true });
  });
}

function values() {
  const [x1, y1, x2, y2] = NAMES.map((name) => Number(form.elements[name].value) || 0);
  const left = Math.min(Math.max(0, Math.min(x1, x2)), size.width - 1);
  const top = Math.min(Math.max(0, Math.min(y1, y2)), size.height - 1);
  return [
    left, top,
    Math.min(size.width, Math.max(left + 1, x1, x2)),
    Math.min(size.height, Math.max(top + 1, y1, y2)),
  ];
}

function fill(numbers) {
  NAMES.forEach((name, i) => { form.elements[name].value = Math.round(numbers[i]); });
  draw();
}

function draw() {
  const [left, top, right, bottom] = values();
  const share = (value, whole) => `${(100 * value) / whole}%`;
  box.hidden = false;
  box.style.left = share(left, size.width);
  box.style.top = share(top, size.height);
  box.style.width = share(right - left, size.width);
  box.style.height = share(bottom - top, size.height);
}

function place(event) {
  const { left, top, width, height } = picture.getBoundingClientRect();
  const within = (value) => Math.min(1, Math.max(0, value));
  return [
    within((event.clientX - left) / width) * size.width,
    within((event.clientY - top) / height) * size.height,
  ];
}

frame.addEventListener("pointerdown", (event) => {
  start = place(event);
  frame.setPointerCapture(event.pointerId);
  event.preventDefault();
});
frame.addEventListener("pointermove", (event) => {
  if (!start) return;
  const end = place(event);
  fill([
    Math.min(start[0], end[0]), Math.min(start[1], end[1]),
    Math.max(start[0], end[0]), Math.max(start[1], end[1]),
  ]);
});
frame.addEventListener("pointerup", () => { start = null; });
form.addEventListener("input", draw);
