// Which tab is shown, and what happens first.

/* ---- The tabs. ---- */

const TABS = ["channelstream", "pusher", "pushi"];

function showTab(tab) {
  for (const one of TABS) {
    const isIt = one === tab;
    at(`tab-${one}`).setAttribute("aria-selected", String(isIt));
    at(`tab-${one}`).tabIndex = isIt ? 0 : -1;
    at(`panel-${one}`).hidden = !isIt;
  }
}

for (const tab of TABS) {
  at(`tab-${tab}`).addEventListener("click", () => {
    showTab(tab);
    history.replaceState(null, "", tab === TABS[0] ? location.pathname : `#${tab}`);
  });
}
at("tabs").addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step === undefined) return;
  const here = TABS.findIndex((tab) => !at(`panel-${tab}`).hidden);
  const other = TABS[(here + step + TABS.length) % TABS.length];
  at(`tab-${other}`).click();
  at(`tab-${other}`).focus();
});

showCurl();
showSnippet();
showPushiCode();
showTab(TABS.find((tab) => location.hash === `#${tab}`) || TABS[0]);
join();
pollState(STATE_EVERY_MS);
