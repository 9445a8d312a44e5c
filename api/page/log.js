/* The last decisions, a page at a time. Contract: the newest page follows what is decided; an older one stands still. */

import { byId, element, say, timeElement } from "./dom.js";
import { brusselsDay, eur, mw, percent, price, utc } from "./format.js";
import { ask } from "./service.js";
import { fallbackSentence, modeWords, priceSeen, reasonSentence, shieldRule } from "./sentences.js";

const ROWS = 12;

export class Log {
  constructor() {
    this._assetId = null;
    this._cursors = [null];
    this._next = null;
    byId("log-older").addEventListener("click", () => this._turn([...this._cursors, this._next]));
    byId("log-newer").addEventListener("click", () => this._turn([null]));
  }

  /** Show the newest page of an asset, unless an older one is being read. */
  async follow(assetId) {
    if (assetId !== this._assetId) this._cursors = [null];
    this._assetId = assetId;
    if (this._cursors.length === 1) await this._load();
  }

  async _turn(cursors) {
    this._cursors = cursors;
    await this._load();
  }

  async _load() {
    const query = { asset_id: this._assetId, limit: ROWS, cursor: this._cursors.at(-1) };
    const { decisions, next_cursor: next } = await ask("/v1/decisions", { query });
    this._next = next;
    byId("log").tBodies[0].replaceChildren(...decisions.map(row));
    byId("log-older").disabled = next === null;
    byId("log-newer").disabled = this._cursors.length === 1;
    say("log-place", this._cursors.length === 1 ? "newest" : `page ${this._cursors.length}`);
  }
}

function row(decision) {
  const from = new Date(decision.valid_from);
  const by = [`${decision.policy.id}, level ${fallbackSentence(decision.fallback)}`];
  if (decision.mode !== "policy") by.push(modeWords(decision.mode));
  if (decision.shield.applied) by.push(`cut by ${shieldRule(decision.shield.rule)}`);
  const cells = {
    From: timeElement(from, brusselsDay(from), utc(from)),
    Power: element("strong", { "data-action": decision.setpoint.action, text: `${decision.setpoint.action} ${mw(decision.setpoint.power_mw)}` }),
    "SoC after": percent(decision.expected.soc_fraction_end, 1),
    "Price seen": price(priceSeen(decision)),
    "Profit to midnight, mean": eur(decision.expected.profit_eur?.mean),
    "Decided by": by.join("; "),
    Why: decision.reasons.map(reasonSentence).join(" "),
  };
  return element("tr", {}, ...Object.entries(cells).map(([label, content]) => element("td", { "data-label": label }, content)));
}
