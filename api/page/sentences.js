/* The codes of a decision in words. Contract: a code without a sentence is shown as it is, never left out. */

import { brusselsExact, known, mw, number, price, signed, span } from "./format.js";

const ACTIONS = { charge: "Charge", idle: "Idle", discharge: "Discharge" };
const amount = (value) => (known(value) ? `${signed(value)} EUR` : "an unknown amount");
const SEEN = {
  indicative_price_eur_mwh: "the indicative price is",
  previous_indicative_price_eur_mwh: "the last indicative price of the quarter-hour before is",
  last_price_eur_mwh: "the last final price is",
};
const seen = (params) => {
  const name = Object.keys(SEEN).find((each) => known(params[each]));
  return name ? `${SEEN[name]} ${price(params[name])}` : "no price is known";
};
const versus = (params) => {
  const side = (name, value) => (known(value) ? `${name} ${amount(value)}` : `${name} is not possible`);
  return `${side("charging", params.charge_advantage_eur)}, ${side("discharging", params.discharge_advantage_eur)}, against idling`;
};

const REASONS = {
  charging_beats_idling: (p) => `Charging is worth ${amount(p.charge_advantage_eur)} against idling; ${seen(p)}.`,
  discharging_beats_idling: (p) => `Discharging is worth ${amount(p.discharge_advantage_eur)} against idling; ${seen(p)}.`,
  idling_is_best: (p) => `Nothing beats idling (${versus(p)}); ${seen(p)}.`,
  risk_aversion_charges: (p) => `Risk aversion charges; the mean alone would not (${versus(p)}); ${seen(p)}.`,
  risk_aversion_discharges: (p) => `Risk aversion discharges; the mean alone would not (${versus(p)}); ${seen(p)}.`,
  risk_aversion_idles: (p) => `Risk aversion idles; the mean alone would not (${versus(p)}); ${seen(p)}.`,
  signal_below_bound: (p) => `The rule’s signal is below its lower bound: charge; ${seen(p)}.`,
  signal_above_bound: (p) => `The rule’s signal is above its upper bound: discharge; ${seen(p)}.`,
  signal_between_bounds: (p) => `The rule’s signal lies between its bounds: idle; ${seen(p)}.`,
  indicative_price_below_bound: (p) => `The indicative price is below the rule’s lower bound; ${seen(p)}.`,
  own_strategy: () => 'The operator’s own strategy asks for this power.',
  indicative_price_above_bound: (p) => `The indicative price is above the rule’s upper bound; ${seen(p)}.`,
  indicative_price_between_bounds: (p) => `The indicative price lies between the rule’s bounds; ${seen(p)}.`,
  day_ahead_price_among_lowest: (p) => `The day-ahead price (${price(p.day_ahead_price_eur_mwh)}) is among the day’s lowest.`,
  day_ahead_price_among_highest: (p) => `The day-ahead price (${price(p.day_ahead_price_eur_mwh)}) is among the day’s highest.`,
  day_ahead_price_between: (p) => `The day-ahead price (${price(p.day_ahead_price_eur_mwh)}) is neither among the day’s lowest nor highest.`,
  plan_moves_energy: (p) => `The plan for the hours ahead moves energy now; ${seen(p)}.`,
  forecast_is_not_finite: (p) => `The price forecast is not a finite number; ${seen(p)}.`,
  risk_is_not_finite: (p) => `What risk makes of the decision is not a finite number; ${seen(p)}.`,
  plan_idles: (p) => `The plan for the hours ahead idles now; ${seen(p)}.`,
  actor_chooses: (p) => `The neural policy chooses so; ${seen(p)}.`,
  best_outcomes: (p) => `Its outcomes are the best (${versus(p)}); ${seen(p)}.`,
};

const SHIELD = {
  rated_power: "rated power or grid connection",
  state_of_charge: "limits of the state of charge",
  cycle_budget: "cycle budget of the day",
  ramp: "ramp limit",
  unfamiliar: "market unlike training, and the cautious reading does not agree",
  watch_only: "watch only: the battery is asked to hold",
  expired: "the interval was over",
};

const LEVELS = {
  policy: "the policy",
  policy_on_last_good_data: "the policy, on the last good data",
  rule: "the day-ahead rule",
  hold: "no decider: hold at 0 MW",
};

const QUALITIES = {
  ok: "Good", gap: "Gaps", jump: "A record was left out", contradiction: "Records contradict each other", late: "Late",
  disagreement: "Minutes and quarter-hours disagree", stale: "Stale", absent: "No data", clock: "The clock cannot be trusted",
};

const FINDINGS = {
  late: (p) => `records expected since, and missing: ${p.records_behind}`,
  stale: (p) => `records expected since, and missing: ${p.records_behind}`,
  gap: (p) => `${p.missing} of the last ${p.of} records are missing`,
  frozen: (p) => `the system imbalance has stood still for ${p.minutes} min`,
  jump: (p) => `${p.records} records left out: ${price(p.price_eur_mwh)} where the price rule says ${price(p.by_rule)}`,
  disagreement: (p) => `they differ by ${price(p.median_eur_mwh)} in the median of ${p.quarter_hours} quarter-hours`,
  absent: () => "nothing is known",
  missing_source: (p) => `the market lacks what the policy was trained on: ${p.sources}`,
  silence: (p) => `the source does not answer since ${moment(p.since_s)} (${p.reason})`,
  not_polled: (p) => `the source was last asked at ${moment(p.since_s)}`,
  not_taken: (p) => `records could not be used: ${p.faults}`,
  off_grid: (p) => `${p.records} records of ${p.table} stand off the grid and were left out`,
  from_the_future: (p) => `${p.records} records of ${p.table} come from the future, by up to ${span(p.ahead_s)}`,
  duplicate: (p) => `${p.records} records of ${p.table} came twice, alike`,
  contradiction: (p) => `${p.intervals} intervals of ${p.table} came with different values at once`,
  clock_jumped: (p) => `the clock jumped by ${number(p.seconds, 1)} s`,
  missing_record: (p) => `the record of ${p.source} that was due (${p.due}) is ${p.state}`,
  implausible: (p) => `${p.records} records of ${p.table} had values that no market has, which were left out`,
  outcomes_not_finite: () => "The policy's outcomes are not finite numbers: they are left out.",
  incomplete_day: (p) => `${p.source} is missing for ${p.quarter_hours_missing} quarter-hours of the rest of the day`,
  not_published_yet: (p) => `${p.records} records (${p.series}) were given that cannot be known before ${p.latest}`,
  client_clock_ahead: (p) => `The client's clock is ahead: it asked ${span(p.seconds)} early, so the next interval was decided.`,
  client_clock_behind: (p) => `The client's clock is behind: it asked ${span(p.seconds)} late.`,
  replay: (p) => `The past was decided, ${span(p.seconds)} back: nothing that is kept was changed.`,
  state_is_newer: (p) => `The kept state is ${span(p.seconds)} newer than the interval, and was not moved back.`,
  state_from_the_future: (p) => `The kept state was of ${p.as_of}, which is still to come: its time was set aside.`,
  unlike_training: (p) => `The market is unlike anything in training (${percentOf(p.far_fraction)} of its features are far out, the farthest by ${number(p.spreads, 0)} spreads${farthest(p)}).`,
  day_ahead_unlike_training: (p) => `Day-ahead prices differ within ${p.hours} of the coming hours; the policy learned on prices by the hour (${p.learned_min} min) only.`,
};

const MODES = {
  policy: "Automatic",
  override: "By hand: a person has set the power",
  watch_only: "Watch only: decided and logged, the battery holds",
};

const percentOf = (fraction) => `${number(100 * fraction, 0)} %`;
const moment = (seconds) => (known(seconds) ? brusselsExact(new Date(1000 * seconds)) : "a time unknown");
const farthest = (params) => (params.farthest ? `: ${[params.farthest].flat().join(", ")}` : "");

/** The newest price that a decision saw: indicative, else the last final one; null where it saw none. */
export function priceSeen(decision) {
  const params = decision.reasons[0]?.params ?? {};
  return params[Object.keys(SEEN).find((each) => known(params[each]))] ?? null;
}

export const actionWord = (action) => ACTIONS[action] ?? action;
export const modeWords = (mode) => MODES[mode] ?? plain(mode);
export const qualityWord = (quality) => QUALITIES[quality] ?? plain(quality);
export const shieldRule = (rule) => SHIELD[rule] ?? plain(rule);

export function reasonSentence({ code, params }) {
  return REASONS[code]?.(params) ?? unnamed(code, params);
}

export function findingSentence({ code, params }) {
  return FINDINGS[code]?.(params) ?? unnamed(code, params);
}

export function shieldSentence(shield, powerMw) {
  if (!shield.applied) return "Not needed";
  const kept = shield.rule === "watch_only" ? "" : ` ${mw(powerMw)} is left.`;
  return `${mw(shield.requested_mw)} was asked for. Cut by: ${shieldRule(shield.rule)}.${kept}`;
}

export function fallbackSentence({ level, name, reason }) {
  const who = LEVELS[name] ?? plain(name);
  if (level === 0) return `0: ${who}`;
  const why = String(reason ?? "").split("_and_no_day_ahead_price");
  const rest = why.length > 1 ? ", and no day-ahead price is known" : "";
  if (why[0] === "policy_not_finite") return `${level}: ${who}, because the policy came to no finite numbers${rest}`;
  return `${level}: ${who}, because of the data: ${qualityWord(why[0]).toLowerCase()}${rest}`;
}

export function riskWords(risk) {
  const parts = [];
  if (risk.aversion) parts.push(`aversion ${number(risk.aversion)}`);
  if (risk.weight) parts.push(`${risk.measure} at ${number(risk.level)} with weight ${number(risk.weight)}`);
  return parts.join(", ") || "neutral";
}

export const ageWords = (seconds) => (known(seconds) ? `newest record ${span(seconds)} old` : "age unknown");

function plain(code) {
  return String(code).replaceAll("_", " ");
}

function unnamed(code, params) {
  const given = Object.entries(params ?? {}).map(([name, value]) => `${name} ${typeof value === "number" ? number(value) : value}`);
  return given.length ? `${plain(code)} (${given.join(", ")})` : plain(code);
}
