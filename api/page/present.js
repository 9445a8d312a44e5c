/* The present decision, the key figures, and the state of things at the top. */

import { byId, element, figure, say, timeElement, tone } from "./dom.js";
import * as format from "./format.js";
import * as words from "./sentences.js";

const SIGNS = { good: "✓", warn: "!", bad: "✕", wait: "…" };
const MARKS = { day_ahead: "the day-ahead price", newest_seen: "the newest price seen" };

export function showStatus(name, word, text) {
  tone("status", name);
  byId("status").querySelector(".sign").textContent = SIGNS[name];
  say("status-word", word);
  say("status-text", text);
  byId("main").toggleAttribute("data-void", name === "bad");
}

/** How the newest decision stands at this moment: tone, word, text. */
export function standing(decision, now, unready) {
  const until = new Date(decision.valid_until);
  if (now >= until) {
    const ago = format.span((now - until) / 1000);
    return ["bad", "Expired", `The last decision ended ${ago} ago, at ${format.brussels(until)}. The battery must hold at 0 MW.`];
  }
  const { level } = decision.fallback;
  const decider = level > 0 ? `Level ${words.fallbackSentence(decision.fallback)}.` : "";
  const grave = level === 3 ? "bad" : "warn";
  if (unready.length) return [grave, "Not ready", `${unready.map((each) => `${each.about}: ${each.message}`).join("; ")}. ${decider}`];
  if (level > 0) return [grave, "Fallback", decider];
  if (decision.mode !== "policy") return ["warn", "By order", `${words.modeWords(decision.mode)}.`];
  if (decision.warnings.length) return ["warn", "Warning", decision.warnings.map(words.findingSentence).join(" ")];
  return ["good", "Deciding", `The newest decision holds until ${format.brussels(until)}.`];
}

export function showClock(now) {
  byId("clock").replaceChildren(timeElement(now, format.brusselsExact(now), format.utc(now)));
}

export function showDecision(decision, now) {
  const { setpoint } = decision;
  for (const id of ["action", "power"]) byId(id).dataset.action = setpoint.action;
  say("action", words.actionWord(setpoint.action));
  say("power", format.mw(setpoint.power_mw));
  showInterval(decision, now);
  const warnings = decision.warnings.map((each) => element("li", { text: `Warning: ${words.findingSentence(each)}` }));
  byId("reasons").replaceChildren(
    ...decision.reasons.map((reason) => element("li", { text: words.reasonSentence(reason) })), ...warnings,
  );
  const profit = decision.expected.profit_eur;
  facts({
    "Decided by": `${decision.policy.id}, level ${words.fallbackSentence(decision.fallback)}`,
    Mode: words.modeWords(decision.mode),
    Shield: words.shieldSentence(decision.shield, setpoint.power_mw),
    Risk: words.riskWords(decision.risk),
    "Profit to midnight": profit === null
      ? "this decider gives no distribution"
      : `mean ${format.eur(profit.mean)}; 90 % between ${format.eur(profit.p05)} and ${format.eur(profit.p95)}`,
  });
}

export function showInterval(decision, now) {
  const [from, until] = [new Date(decision.valid_from), new Date(decision.valid_until)];
  let when = `in force, ${format.span((until - now) / 1000)} left`;
  if (now < from) when = `begins in ${format.span((from - now) / 1000)}`;
  if (now >= until) when = "expired: hold at 0 MW";
  byId("interval").replaceChildren(
    timeElement(from, format.hourMinute(from), format.utc(from)), " to ",
    timeElement(until, format.brussels(until), format.utc(until)), ` · ${when}`,
  );
}

export function showTiles(watch, now) {
  const decision = watch.newest;
  const { soc_fraction_start: start, soc_fraction_end: end } = decision.expected;
  const [from, until] = [Date.parse(decision.valid_from), Date.parse(decision.valid_until)];
  const soc = start + (end - start) * Math.min(1, Math.max(0, (now - from) / (until - from)));
  figure("soc", format.number(100 * soc, 1), "%");
  byId("soc-meter").value = soc;
  const capacity = watch.asset?.battery.capacity_mwh;
  say("soc-text", capacity ? `${format.number(soc * capacity)} of ${format.number(capacity)} MWh` : "of the capacity");
  showCycles(decision.cycles);
  showQuality(decision, now);
  if (watch.day !== null) showMoney(watch.day);
}

function showCycles({ used_today: used, budget, resets_at: resetsAt }) {
  const resets = new Date(resetsAt);
  const bar = byId("cycles-meter");
  figure("cycles", format.number(used), budget === null ? "cycles, no budget" : `of ${format.number(budget)} cycles`);
  bar.hidden = budget === null;
  if (budget !== null) bar.value = budget > 0 ? Math.min(1, used / budget) : 1;
  byId("cycles-text").replaceChildren("Restarts at ", timeElement(resets, format.brusselsDay(resets), format.utc(resets)));
}

export function showQuality(decision, now) {
  const { imbalance_price: quality, findings } = decision.data_quality;
  const age = decision.data_as_of === null ? null : (now - Date.parse(decision.data_as_of)) / 1000;
  const { level } = decision.fallback;
  const colour = level >= 2 ? "bad" : quality === "ok" ? "good" : "warn";
  tone("quality", colour);
  say("quality", `${SIGNS[colour]} ${words.qualityWord(quality)}`);
  const found = findings.map(words.findingSentence).join("; ");
  say("quality-text", `${words.ageWords(age)}${found ? `; ${found}` : ""}`);
}

function showMoney(day) {
  figure("cash", format.signed(day.cash_eur), "EUR");
  const flows = `discharged ${format.number(day.discharged_mwh)} MWh, charged ${format.number(day.charged_mwh)} MWh`;
  say("cash-text", `Quarter-hours with a published price; ${flows}. Wear of ${format.number(day.wear_eur)} EUR is not in it.`);
  figure("marked", format.signed(day.marked_eur), "EUR");
  const parts = [`open quarter-hours ${format.eur(day.open_eur)}`];
  if (day.stored_eur !== null) {
    parts.push(`store ${format.signed(day.stored_mwh)} MWh at ${MARKS[day.mark_price]}, ${format.price(day.mark_price_eur_mwh)}: ${format.eur(day.stored_eur)}`);
  }
  if (day.unpriced_mwh > 0) parts.push(`${format.number(day.unpriced_mwh)} MWh have no price yet`);
  say("marked-text", `Cash and ${parts.join("; ")}`);
}

function facts(given) {
  byId("facts").replaceChildren(
    ...Object.entries(given).flatMap(([name, text]) => [element("dt", { text: name }), element("dd", { text })]),
  );
}
