/* The page: asks the service every few seconds, shows what it says, says so when it does not answer, and goes on asking. */

import { RiskPanel } from "./risk.js";
import { byId, element, say } from "./dom.js";
import { brusselsExact, span } from "./format.js";
import { drawHours } from "./hours.js";
import { Log } from "./log.js";
import { drawDay } from "./money.js";
import { Orders } from "./orders.js";
import { drawOutcomes } from "./outcomes.js";
import { showClock, showDecision, showInterval, showQuality, showStatus, showTiles, standing } from "./present.js";
import { ask, forgetKey, hasKey, keepKey, readiness, Refused, Unreachable } from "./service.js";
import { assetNames, Watch } from "./watch.js";

const EVERY_MS = 4000;

let watch = null;
let policies = [];
let unready = [];
let failedSince = null;
let assetsAskedMs = -Infinity;
let timer = null;
let running = false;

const log = new Log();
const risk = new RiskPanel((preview, byHand) => {
  if (!watch?.newest) return;
  drawOutcomes(watch.newest, preview);
  // Something was decided since: what is shown and what is tried should be of one interval.
  if (byHand && preview !== null && preview.valid_from !== watch.newest.valid_from) refreshNow();
});
const orders = new Orders(() => watch, () => refreshNow());

async function refresh() {
  const state = await readiness();
  unready = state.reasons;
  if (watch === null || performance.now() - assetsAskedMs > 60_000) await takeAssets();
  if (watch === null) {
    const why = unready.map((each) => `${each.about}: ${each.message}`).join("; ");
    showStatus("wait", "Nothing to show", why || "The service has no asset and has decided nothing yet. This page begins by itself when it does.");
    return;
  }
  const isNew = await watch.refresh();
  if (watch.newest === null) showStatus("wait", "No decision yet", `Nothing was decided for ${watch.assetId} yet.`);
  else await show(isNew);
}

async function show(isNew) {
  const decision = watch.newest;
  showDecision(decision, watch.now);
  orders.show(watch);
  showTiles(watch, watch.now);
  risk.aim(watch.assetId, policies.find((policy) => policy.id === decision.policy.id) ?? null);
  tick();
  if (!isNew) return;
  drawHours(watch);
  drawDay(watch.day);
  drawOutcomes(decision, risk.preview);
  risk.renew();
  await log.follow(watch.assetId);
}

async function takeAssets() {
  assetsAskedMs = performance.now();
  ({ policies } = await ask("/v1/policies"));
  const { names, more } = await assetNames(byId("asset-find").validity.valid ? byId("asset-find").value.trim() : "");
  if (more) byId("asset-search").hidden = false;
  if (watch !== null && !names.includes(watch.assetId)) names.unshift(watch.assetId);
  const shown = [...byId("asset").options].map((option) => option.value);
  if (names.length && names.join() !== shown.join()) {
    byId("asset").replaceChildren(...names.map((name) => element("option", { value: name, text: name })));
    byId("asset").disabled = false;
    if (watch !== null) byId("asset").value = watch.assetId;
  }
  if (watch === null && names.length) watch = new Watch(names[0]);
}

/** What changes with the time alone. */
function tick() {
  if (failedSince !== null || !watch?.newest) return;
  const { now, newest } = watch;
  showStatus(...standing(newest, now, unready));
  showClock(now);
  showInterval(newest, now);
  showQuality(newest, now);
}

function failed(error) {
  if (error instanceof Refused && error.status === 401) {
    showStatus("wait", "Key needed", hasKey() ? "The service does not know this key." : "The service asks for a key.");
    if (!byId("key-dialog").open) byId("key-dialog").showModal();
    return;
  }
  failedSince ??= new Date();
  const ago = span((Date.now() - failedSince) / 1000);
  const last = watch?.newest ? " What is shown below is old: after its end the battery must hold at 0 MW." : "";
  if (error instanceof Unreachable) showStatus("bad", "Unreachable", `The service has not answered for ${ago}; asking again every ${EVERY_MS / 1000} s.${last}`);
  else if (error instanceof Refused) showStatus("bad", "Refused", `${error.words}${last}`);
  else throw error;
}

async function turn() {
  if (running) return;
  running = true;
  clearTimeout(timer);
  try {
    await refresh();
    failedSince = null;
  } catch (error) {
    failed(error);
  } finally {
    running = false;
    if (!byId("key-dialog").open) timer = setTimeout(turn, EVERY_MS);
  }
}

function refreshNow() {
  clearTimeout(timer);
  turn();
}

function listen() {
  byId("asset").addEventListener("change", () => {
    watch = new Watch(byId("asset").value);
    refreshNow();
  });
  byId("asset-find").addEventListener("change", () => takeAssets().catch(failed));
  byId("window").addEventListener("change", async () => {
    if (watch === null) return;
    await watch.lookBack(Number(byId("window").value)).catch(failed);
    if (watch.newest !== null) drawHours(watch);
  });
  byId("key-open").addEventListener("click", () => byId("key-dialog").showModal());
  byId("key-cancel").addEventListener("click", () => byId("key-dialog").close());
  byId("key-forget").addEventListener("click", () => {
    forgetKey();
    byId("key-dialog").close();
  });
  byId("key-form").addEventListener("submit", () => keepKey(byId("key").value.trim()));
  byId("key-dialog").addEventListener("close", () => {
    byId("key").value = "";
    refreshNow();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw());
}

function redraw() {
  if (!watch?.newest) return;
  drawHours(watch);
  drawDay(watch.day);
  drawOutcomes(watch.newest, risk.preview);
}

async function sayVersion() {
  const { version, code_revision: revision } = await ask("/v1/version");
  say("version", `Version ${version}${revision ? `, ${revision.slice(0, 10)}` : ""}. Page opened ${brusselsExact(new Date())}.`);
}

listen();
sayVersion().catch(() => say("version", ""));
turn();
setInterval(tick, 1000);
