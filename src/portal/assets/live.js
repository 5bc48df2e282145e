"use strict";
(function () {
  var leaving = false;
  function reload() {
    if (!leaving) location.replace(location.pathname);
  }
  // A page kept in memory may be old.
  addEventListener("pageshow", function (event) {
    if (event.persisted) reload();
  });
  // One tap, one post.
  document.addEventListener("submit", function (event) {
    if (leaving) event.preventDefault();
    leaving = true;
    setTimeout(function () { leaving = false; }, 10000);
  });
  var left = document.querySelector("[data-left]");
  if (left) {
    var end = Date.now() + Number(left.textContent) * 1000;
    setInterval(function () {
      var secs = Math.max(0, Math.ceil((end - Date.now()) / 1000));
      left.textContent = secs;
      // The portal says what comes after; it may be a moment later than this clock.
      if (Date.now() > end + 3000) reload();
    }, 1000);
  }
  var live = document.body.getAttribute("data-live");
  if (!live) return;
  if (!window.EventSource) {
    setTimeout(reload, 5000);
    return;
  }
  var source = new EventSource(live);
  source.addEventListener("changed", function () { source.close(); reload(); });
  source.addEventListener("displaced", function () { source.close(); });
  source.onerror = function () {
    if (source.readyState === 2) setTimeout(reload, 5000);
  };
})();
