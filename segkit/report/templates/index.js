// Searches and filters what is already on the page; without it, all is shown.
const bar = document.getElementById("filter");
const runs = [...document.querySelectorAll("section.run")];
const told = document.getElementById("found");
const few = 3;
const plain = (text) => text.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").toLowerCase();
const value = (name) => (bar.elements[name] ? bar.elements[name].value : "");
const all = runs.map((run) => ({
  run,
  fold: run.querySelector("details.reports"),
  mates: [...document.querySelectorAll(`[data-run="${run.dataset.number}"]`)],
  name: plain(run.querySelector(".about").textContent),
  said: plain([...run.querySelectorAll(".said")].map((each) => each.textContent).join(" ")),
  rows: [...run.querySelectorAll("tr.report")].map((row) => ({ row, said: plain(row.textContent) })),
}));
function fits(row) {
  const status = value("status");
  const changed = status === "changed" ? row.dataset.changed === "yes" : true;
  const same = !status || status === "changed" || row.dataset.status === status;
  return changed && same && (!value("report") || row.dataset.report === value("report"));
}
function narrow() {
  const sought = plain(value("text")).split(/\s+/).filter(Boolean);
  const has = (text) => sought.every((word) => text.includes(word));
  const narrowed = sought.length > 0 || value("status") || value("report");
  let reports = 0, shown = 0, total = 0;
  all.forEach(({ run, fold, mates, name, said, rows }) => {
    const here = (!value("market") || run.dataset.label === value("market"))
      && (!value("date") || run.dataset.date === value("date"));
    const whole = has(name + " " + said);
    let kept = 0;
    rows.forEach((each) => {
      const keep = here && fits(each.row) && (whole || has(name + " " + each.said));
      each.row.hidden = !keep;
      kept += keep;
    });
    const keep = here && (kept > 0
      || (rows.length === 0 && whole && !value("report")
          && (!value("status") || run.dataset.status === value("status"))));
    run.hidden = !keep;
    mates.forEach((mate) => { mate.hidden = !keep; });
    if (fold) { fold.open = narrowed ? true : runs.length <= few; }
    reports += kept; shown += keep; total += rows.length;
  });
  document.querySelectorAll(".troubles, .overview").forEach((box) => {
    box.hidden = !box.querySelector("[data-run]:not([hidden])");
  });
  told.textContent = shown
    ? `Shown: ${reports} of ${total} reports, in ${shown} of ${runs.length} runs.`
    : "Nothing fits; clear the search or choose another filter.";
}
if (bar && runs.length) {
  bar.hidden = false;
  bar.addEventListener("input", narrow);
  bar.addEventListener("reset", () => setTimeout(narrow));
  bar.addEventListener("submit", (event) => { event.preventDefault(); narrow(); });
  narrow();
  told.textContent = "";
}
