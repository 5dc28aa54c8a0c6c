// Why a photo matches: what its places have in the similarity, laid over it.

import { element } from "./view.js";

// Adds to the similarity, and takes from it; as `abe_tf.figures.heat` draws them.
const MORE = [255, 150, 0];
const LESS = [40, 90, 255];
const COVER = 0.75;
const SIDE = 240;

// Draws an answer of /api/why into a section, all learners first.
export async function drawWhy(section, answer) {
  const bitmaps = await Promise.all(answer.sides.map(({ view }) => bitmapOf(view)));
  const learners = answer.cosines.length;
  const choice = element("select", { id: "learner" },
    element("option", { value: "all", textContent: "all learners" }),
    ...answer.cosines.map((_, m) => element("option", { value: m, textContent: `learner ${m + 1}` })));
  const places = answer.sides.map((_, number) => {
    const { width, height } = bitmaps[number];
    const scale = SIDE / Math.max(width, height);
    const canvas = element("canvas", { width: Math.round(scale * width), height: Math.round(scale * height) });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `What of the photo that is ${number ? "found" : "searched for"} matches`);
    return { canvas, shares: element("figcaption") };
  });
  const whole = element("p", { className: "cosine" });
  const show = () => {
    const chosen = choice.value === "all" ? answer.cosines.map((_, m) => m) : [Number(choice.value)];
    const share = chosen.reduce((sum, m) => sum + answer.shares[m], 0);
    const mean = (values) => chosen.reduce((sum, m) => sum + answer.shares[m] * values[m], 0) / share;
    const maps = answer.sides.map(({ maps: all }) => all[0].map((row, y) => row.map((_, x) =>
      mean(all.map((map) => map[y][x])))));
    const peak = Math.max(1e-12, ...maps.flat(2).map(Math.abs));
    const without = answer.not_split.filter((number) => chosen.includes(number - 1));
    whole.textContent = [
      `Similarity (cosine) ${mean(answer.cosines).toFixed(3)}. Orange adds to it, blue takes away.`,
      without.length && `Learner ${without.join(" and ")}: hidden layers, whose part belongs to no place.`,
    ].filter(Boolean).join(" ");
    answer.sides.forEach((side, number) => {
      draw(places[number].canvas, bitmaps[number], maps[number], peak);
      const [bias, padding] = [mean(side.bias), mean(side.padding)];
      const inside = maps[number].flat().reduce((sum, value) => sum + value, 0) - padding;
      places[number].shares.textContent = [`photo ${inside.toFixed(3)}`,
        Math.abs(padding) > 5e-4 && `black edge ${padding.toFixed(3)}`,
        Math.abs(bias) > 5e-4 && `${without.length ? "no place" : "bias"} ${bias.toFixed(3)}`].filter(Boolean).join(", ");
    });
  };
  choice.addEventListener("change", show);
  section.replaceChildren(
    element("h2", { textContent: "Why" }), whole,
    ...(learners > 1 ? [element("label", {}, "By ", choice)] : []),
    element("div", { className: "beside" },
      ...places.map(({ canvas, shares }) => element("figure", {}, canvas, shares))));
  show();
}

async function bitmapOf(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return createImageBitmap(new Blob([bytes], { type: "image/png" }));
}

function draw(canvas, bitmap, map, peak) {
  const [height, width] = [map.length, map[0].length];
  const small = element("canvas", { width, height });
  const pixels = new ImageData(width, height);
  map.flat().forEach((value, place) => {
    const share = Math.min(1, Math.abs(value) / peak);
    pixels.data.set([...(value > 0 ? MORE : LESS), 255 * COVER * share], 4 * place);
  });
  small.getContext("2d").putImageData(pixels, 0, 0);
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}
