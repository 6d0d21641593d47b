// The table of a picker. itables draws it; rows, selection and pictures come and go as messages and never become
// state of the widget, so that a saved notebook holds none of them. ITABLES is the source of itables' own module.

let module;
function itables() {
  module ??= import(URL.createObjectURL(new Blob([ITABLES], { type: "text/javascript" }))).then(async (loaded) => {
    const made = loaded.default;
    return typeof made === "function" ? made() : made;
  });
  return module;
}

const DEBOUNCE = 40; // ms; a new choice comes from the table as nothing, and then the rows

function render({ model, el }) {
  const view = Math.random().toString(36).slice(2);
  const note = Object.assign(document.createElement("div"), { className: "dicomlab-note" });
  note.setAttribute("role", "status");
  note.textContent = "The rows are not kept in the notebook: run the cell to see them.";
  const host = document.createElement("div");
  el.classList.add("dicomlab-picker");
  el.append(host, note);

  let args = null; // what itables gets instead of state
  let rows = []; // positions that are selected
  let number = 0; // which table this is; a choice made in an older one does not count
  let listeners = [];
  let timer = null;
  const pictures = new Map(); // row: URL of a picture, or "" while it is asked for

  const instead = {
    get: (name) => (name === "_dt_args" ? args : name === "selected_rows" ? rows : model.get(name)),
    set: (name, value) => { if (name === "selected_rows") rows = value; },
    save_changes: () => { clearTimeout(timer); timer = setTimeout(choose, DEBOUNCE); },
    on: (name, callback) => { listeners.push([name, callback]); },
    off: () => {},
  };

  function choose() {
    model.send({ kind: "selected", rows, number, view });
  }

  async function draw(message) {
    const made = await itables();
    clearTimeout(timer);
    listeners = [];
    host.replaceChildren();
    forget();
    args = message.args;
    rows = message.rows;
    number = message.number;
    made.render({ model: instead, el: host });
    note.textContent = message.note;
    dress();
  }

  // Rows can be reached and ticked by keys; what is typed here is no command to the notebook.
  function dress() {
    for (const focusable of host.querySelectorAll("[tabindex], button, input, select, tbody tr")) {
      if (focusable.tagName === "TR" && !focusable.hasAttribute("tabindex")) focusable.tabIndex = 0;
      focusable.setAttribute("data-lm-suppress-shortcuts", "true");
    }
    const wanted = [];
    for (const place of host.querySelectorAll("tbody .dicomlab-picture")) {
      const row = Number(place.className.match(/row-(\d+)/)[1]);
      if (!pictures.has(row)) {
        pictures.set(row, "");
        wanted.push(row);
      } else if (pictures.get(row) && !place.firstChild) {
        put(place, pictures.get(row));
      }
    }
    if (wanted.length) model.send({ kind: "pictures", rows: wanted, number });
  }

  function put(place, url) {
    place.append(Object.assign(document.createElement("img"), { src: url, alt: "middle slice" }));
  }

  function forget() {
    for (const url of pictures.values()) if (url) URL.revokeObjectURL(url);
    pictures.clear();
  }

  host.addEventListener("keydown", (event) => {
    const row = event.target.closest("tbody tr");
    if (!row || event.target !== row) return;
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    if (step) row[step]?.focus();
    else if (event.key === " " || event.key === "Enter") {
      const how = { bubbles: true, ctrlKey: event.key === " " && !event.shiftKey, shiftKey: event.shiftKey };
      row.querySelector("td")?.dispatchEvent(new MouseEvent("click", how));
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });

  const watcher = new MutationObserver(() => {
    clearTimeout(watcher.timer);
    watcher.timer = setTimeout(dress, 60);
  });
  watcher.observe(host, { childList: true, subtree: true });

  function hear(message, buffers) {
    if (message.kind === "rows") draw(message);
    else if (message.kind === "note") note.textContent = message.note;
    else if (message.number !== number) return;
    else if (message.kind === "select" && message.view !== view) {
      rows = message.rows;
      for (const [name, callback] of listeners) if (name === "change:selected_rows") callback();
    } else if (message.kind === "picture") {
      const url = URL.createObjectURL(new Blob([buffers[0]], { type: "image/png" }));
      pictures.set(message.row, url);
      const place = host.querySelector(`tbody .dicomlab-picture.row-${message.row}`);
      if (place && !place.firstChild) put(place, url);
    }
  }
  model.on("msg:custom", hear);
  model.send({ kind: "ready" });
  return () => {
    model.off("msg:custom", hear);
    watcher.disconnect();
    forget();
  };
}

export default { render };
