// What is searched lives in the page's address, so that back, reload and links work.
//
// like=12;u-TOKEN@10,20,110,120   photos of the index by number, uploads by token,
// unlike=...                      each with a box in pixels, or whole
// folder, label (several), since, until, count
// kinds, precision,            how many kinds there are; P(same kind) in percent, or
// max_distance                 a distance: of pairs in groups and of votes
// view                         duplicates, groups or labels instead of a search

const PORTION = 60;
const VIEWS = ["duplicates", "groups", "labels"];

export function read(search) {
  const values = new URLSearchParams(search);
  const count = Number.parseInt(values.get("count") ?? "", 10);
  return {
    like: examples(values.get("like")),
    unlike: examples(values.get("unlike")),
    filter: {
      folder: values.get("folder") ?? "",
      label: values.getAll("label"),
      since: values.get("since") ?? "",
      until: values.get("until") ?? "",
    },
    count: count >= 1 && count <= 1000 ? count : PORTION,
    kinds: number(values.get("kinds")),
    precision: number(values.get("precision")),
    max_distance: number(values.get("max_distance")),
    view: VIEWS.includes(values.get("view")) ? values.get("view") : "",
  };
}

export function written(state) {
  const values = new URLSearchParams();
  for (const name of ["like", "unlike"]) {
    if (state[name].length) values.set(name, state[name].map(text).join(";"));
  }
  for (const name of ["folder", "since", "until"]) {
    if (state.filter[name]) values.set(name, state.filter[name]);
  }
  for (const label of state.filter.label) values.append("label", label);
  if (state.count !== PORTION) values.set("count", state.count);
  for (const name of ["kinds", "precision", "max_distance", "view"]) {
    if (state[name]) values.set(name, state[name]);
  }
  const search = values.toString();
  return search ? `?${search}` : "/";
}

export function same(one, other) {
  return text(one) === text(other);
}

export function address(example) {
  return example.upload ? `/upload/${example.upload}` : `/photo/${example.photo}`;
}

export function thumbnail(example) {
  return example.upload ? address(example) : `/thumbnail/${example.photo}`;
}

function text(example) {
  const which = example.upload ? `u-${example.upload}` : String(example.photo);
  return example.box ? `${which}@${example.box.join(",")}` : which;
}

// A number above 0, or null.
export function number(text) {
  const value = Number.parseFloat(text ?? "");
  return value > 0 && Number.isFinite(value) ? value : null;
}

function examples(value) {
  return (value ?? "").split(";").map(example).filter(Boolean);
}

function example(value) {
  const found = /^(?:u-([0-9a-f]{32})|(\d{1,15}))(?:@([\d.,]+))?$/.exec(value);
  if (!found) return null;
  const box = found[3]?.split(",").map(Number);
  const fits = box?.length === 4 && box.every(Number.isFinite);
  const which = found[1] ? { upload: found[1] } : { photo: Number(found[2]) };
  return fits ? { ...which, box } : which;
}

// Asks the server; what it refuses is an Error with its reason.
export async function ask(path, body, type = "application/json") {
  let response;
  try {
    const options = body === undefined ? {} : {
      method: "POST",
      headers: { "content-type": type },
      body: type === "application/json" ? JSON.stringify(body) : body,
    };
    response = await fetch(path, options);
  } catch {
    throw new Error("The server does not answer. Is it still running?");
  }
  if (response.ok) return response;
  let reason = `status ${response.status}`;
  try {
    reason = (await response.json()).error ?? reason;
  } catch {
    // Not from this server's own hand: the status has to do.
  }
  throw new Error(reason);
}
