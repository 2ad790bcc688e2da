// Uploads with a progress bar. Without this script the form is an ordinary one.
(() => {
  "use strict";
  const form = document.querySelector("[data-upload]");
  if (!form) return;
  const place = form.querySelector(".upload-progress");
  const bar = place.querySelector("progress");
  const words = place.querySelector("[role=status]");
  const button = form.querySelector("button[type=submit]");

  const name = form.querySelector("[name=name]");
  form.querySelector("[type=file]").addEventListener("change", (event) => {
    const file = event.target.files[0];
    if (!file || !name || name.value) return;
    name.value = file.name.toLowerCase().replace(/\.(csv|npz|tar\.gz|tgz|gz)$/, "").replace(/[^a-z0-9_-]+/g, "-").slice(0, 60);
  });

  function say(text) {
    place.hidden = false;
    words.textContent = text;
    button.disabled = false;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const size = [...form.querySelector("[type=file]").files].reduce((sum, file) => sum + file.size, 0);
    if (size > Number(form.dataset.limit)) return say(form.dataset.tooLarge);
    const request = new XMLHttpRequest();
    request.open("POST", location.href);
    request.upload.addEventListener("progress", (part) => {
      if (!part.lengthComputable) return;
      bar.value = (100 * part.loaded) / part.total;
      words.textContent = `${Math.floor(bar.value)} %`;
    });
    request.addEventListener("load", () => {
      const sent = new DOMParser().parseFromString(request.responseText, "text/html").querySelector("[data-upload]");
      if (request.status < 400 && !sent) return location.assign(request.responseURL);
      if (!sent) return say(form.dataset.broken);
      // Errors beside the fields; the chosen files stay chosen.
      for (const field of form.querySelectorAll(".field")) {
        const input = field.querySelector("[name]");
        const answer = sent.querySelector(`[name="${input.name}"]`).closest(".field");
        const error = answer.querySelector(".field-error");
        field.classList.toggle("has-error", Boolean(error));
        field.querySelector(".field-error")?.remove();
        if (error) input.after(document.importNode(error, true));
      }
      place.hidden = true;
      button.disabled = false;
      form.querySelector(".has-error input, .has-error select")?.focus();
    });
    request.addEventListener("error", () => say(form.dataset.broken));
    place.hidden = false;
    button.disabled = true;
    request.send(new FormData(form));
  });
})();
