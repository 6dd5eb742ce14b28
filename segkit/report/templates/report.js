const button = document.getElementById("unfold");
button.hidden = false;
let open = false;
button.addEventListener("click", () => {
  open = !open;
  document.querySelectorAll("details.code").forEach((cell) => { cell.open = open; });
  button.textContent = open ? "Hide all code" : "Show all code";
});
// On a narrow screen the report comes first, and the lists of links on demand.
const menu = document.querySelector(".menu");
const narrow = matchMedia("(max-width: 900px)");
function fold() { menu.open = !narrow.matches; }
narrow.addEventListener("change", fold);
fold();
