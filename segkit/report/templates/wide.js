// What can be scrolled sideways can be reached, and scrolled, by keyboard too.
function reachWide() {
  document.querySelectorAll(".output, .wide, .segkit-figure, pre").forEach((box) => {
    const name = box.querySelector("caption, h2, h3");
    if (box.scrollWidth > box.clientWidth + 1) {
      box.tabIndex = 0;
      box.setAttribute("role", "group");
      box.setAttribute("aria-label", "Scrolls sideways" + (name ? ": " + name.textContent.trim() : ""));
    } else if (box.getAttribute("role") === "group") {
      ["tabindex", "role", "aria-label"].forEach((each) => box.removeAttribute(each));
    }
  });
}
addEventListener("load", reachWide);
addEventListener("resize", reachWide);
document.addEventListener("toggle", reachWide, true);
// Paper has no folds and no links to this machine's files: what was folded is printed too (but
// for code), and only links within the page stay.
let unfolded = [], cut = [];
addEventListener("beforeprint", () => {
  unfolded = [...document.querySelectorAll("details:not(.code):not(.messages):not([open])")];
  unfolded.forEach((each) => { each.open = true; });
  cut = [...document.querySelectorAll("a[href]:not([href^='#'])")];
  cut.forEach((each) => { each.dataset.href = each.getAttribute("href"); each.removeAttribute("href"); });
});
addEventListener("afterprint", () => {
  unfolded.forEach((each) => { each.open = false; });
  cut.forEach((each) => { each.setAttribute("href", each.dataset.href); });
});
