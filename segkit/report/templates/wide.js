// What can be scrolled sideways can be reached, and scrolled, by keyboard too.
function reachWide() {
  document.querySelectorAll(".output, .wide, pre").forEach((box) => {
    const name = box.querySelector("caption, h2, h3");
    if (box.scrollWidth > box.clientWidth + 1) {
      box.tabIndex = 0;
      box.setAttribute("role", "region");
      box.setAttribute("aria-label", "Scrolls sideways" + (name ? ": " + name.textContent.trim() : ""));
    } else if (box.getAttribute("role") === "region") {
      ["tabindex", "role", "aria-label"].forEach((each) => box.removeAttribute(each));
    }
  });
}
addEventListener("load", reachWide);
addEventListener("resize", reachWide);
document.addEventListener("toggle", reachWide, true);
// Paper has no folds: what was folded is printed too, but for code.
const folded = "details:not(.code):not(.messages):not([open])";
let unfolded = [];
addEventListener("beforeprint", () => {
  unfolded = [...document.querySelectorAll(folded)];
  unfolded.forEach((each) => { each.open = true; });
});
addEventListener("afterprint", () => { unfolded.forEach((each) => { each.open = false; }); });
