const button = document.getElementById("unfold");
button.hidden = false;
let open = false;
button.addEventListener("click", () => {
  open = !open;
  document.querySelectorAll("details.code").forEach((cell) => { cell.open = open; });
  button.textContent = open ? "Hide all code" : "Show all code";
});
