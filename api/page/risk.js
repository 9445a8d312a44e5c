/* The risk panel. Contract: moving its slider asks for previews and changes nothing; what to send with a decision is shown to be
   copied. An answer that comes after a newer question is dropped. */

import { byId, say } from "./dom.js";
import { axis, colour, draw } from "./figures.js";
import { brussels, mw, number } from "./format.js";
import { ask, Refused } from "./service.js";
import { reasonSentence } from "./sentences.js";

const MOST_AVERSE = 0.95;
const MOST_WEIGHT = 2;
const WAIT_MS = 200;
const SWEEP = 10;
const MEASURES = {
  cvar: { name: "CVaR: mean of the worst share", level: 0.1, min: 0.001, max: 1 },
  var: { name: "VaR: what the worst share does not exceed", level: 0.1, min: 0.001, max: 1 },
  evar: { name: "Entropic VaR", level: 0.1, min: 0.001, max: 1 },
  wang: { name: "Wang (negative is averse)", level: -0.75 },
  cpw: { name: "Cumulative prospect weighting", level: 0.71, min: 0.3, max: 1 },
  power: { name: "Power (negative is averse)", level: -2 },
  entropic: { name: "Entropic", level: 0.01, min: 0 },
  mean_semideviation: { name: "Mean less semideviation", level: 0.5, min: 0, max: 1 },
  mean_variance: { name: "Mean less variance", level: 0.001, min: 0 },
};

export class RiskPanel {
  /** onPreview gets the preview, or null where there is none any more, and whether a person moved the slider. */
  constructor(onPreview) {
    this._onPreview = onPreview;
    this._assetId = null;
    this._policy = null;
    this._asked = 0;
    this._timer = null;
    this.preview = null;
    this._fillMeasures();
    this._listen();
  }

  /** The asset and policy that are previewed. */
  aim(assetId, policy) {
    if (assetId === this._assetId && policy?.id === this._policy?.id) return;
    this._assetId = assetId;
    this._policy = policy;
    this.clear();
    const [head, critic] = [Boolean(policy?.has_risk_head), Boolean(policy?.has_quantile_critic)];
    byId("risk-fields").disabled = !(head || critic);
    this._radio("aversion").disabled = !head;
    this._radio("preference").disabled = !critic;
    this._radio(head ? "aversion" : "preference").checked = true;
    this._showKind();
    if (!(head || critic)) say("risk-answer", `${policy?.id ?? "The policy"} has no risk setting: rules weigh no risk.`);
  }

  /** Ask again for the interval that was decided since; nothing to do where the slider was not moved. */
  renew() {
    if (this.preview !== null) this._askSoon(0, false);
  }

  clear() {
    this._asked += 1;
    this.preview = null;
    byId("turn").value = 0;
    this._showTurn();
    say("risk-answer", "Move the slider to ask.");
    for (const id of ["sweep", "risk-request", "risk-copy", "risk-reset"]) byId(id).hidden = true;
    this._onPreview(null, true);
  }

  /** The risk of a request at a position of the slider. */
  risk(position) {
    if (this._kind === "aversion") return { aversion: position };
    return { measure: byId("measure").value, level: Number(byId("level").value), weight: position };
  }

  get _kind() {
    return byId("risk").elements["risk-kind"].value;
  }

  _radio(value) {
    return document.querySelector(`input[name="risk-kind"][value="${value}"]`);
  }

  _fillMeasures() {
    byId("measure").replaceChildren(...Object.entries(MEASURES).map(([id, { name }]) => new Option(name, id)));
    this._takeMeasure();
  }

  _takeMeasure() {
    const { level, min = "", max = "" } = MEASURES[byId("measure").value];
    Object.assign(byId("level"), { value: level, min, max });
  }

  _listen() {
    byId("risk").addEventListener("submit", (event) => event.preventDefault());
    byId("turn").addEventListener("input", () => this._turned());
    byId("level").addEventListener("input", () => this._turned());
    byId("measure").addEventListener("change", () => {
      this._takeMeasure();
      this._turned();
    });
    byId("risk-kinds").addEventListener("change", () => {
      this.clear();
      this._showKind();
    });
    byId("risk-reset").addEventListener("click", () => this.clear());
    byId("risk-copy").addEventListener("click", () => navigator.clipboard?.writeText(byId("risk-request").textContent));
  }

  _showKind() {
    const most = this._kind === "aversion" ? MOST_AVERSE : MOST_WEIGHT;
    byId("risk-measure").hidden = this._kind === "aversion";
    Object.assign(byId("turn"), { max: most, value: 0 });
    say("turn-label", this._kind === "aversion" ? "Risk aversion" : "Weight of the measure beside the mean");
    say("turn-end", this._kind === "aversion" ? `${MOST_AVERSE}: most risk-averse` : `${MOST_WEIGHT}: twice the mean’s weight`);
    this._showTurn();
  }

  _showTurn() {
    say("turn-value", number(Number(byId("turn").value)));
  }

  _turned() {
    this._showTurn();
    if (!byId("level").checkValidity()) {
      say("risk-answer", byId("level").validationMessage);
      return;
    }
    this._askSoon(WAIT_MS, true);
  }

  _askSoon(waitMs, byHand) {
    clearTimeout(this._timer);
    this._timer = setTimeout(() => this._ask(byHand), waitMs);
  }

  async _ask(byHand) {
    const asked = (this._asked += 1);
    const risk = this.risk(Number(byId("turn").value));
    try {
      const preview = await this._previewAt(risk);
      if (asked !== this._asked) return;
      this.preview = preview;
      this._show(preview, risk, byHand);
      await this._sweep(asked);
    } catch (error) {
      if (asked === this._asked) say("risk-answer", error instanceof Refused ? error.words : "The service does not answer.");
    }
  }

  _previewAt(risk) {
    return ask(`/v1/assets/${encodeURIComponent(this._assetId)}/preview`, { query: risk });
  }

  _show(preview, risk, byHand) {
    const { action, power_mw: powerMw } = preview.setpoint;
    const why = preview.reasons.map(reasonSentence).join(" ");
    const from = new Date(preview.valid_from);
    say("risk-answer", `With this risk aversion, from ${brussels(from)}: ${action} ${mw(powerMw)}. ${why} A preview: nothing is changed or logged.`);
    say("risk-request", `"risk": ${JSON.stringify(risk)}`);
    for (const id of ["risk-request", "risk-copy", "risk-reset"]) byId(id).hidden = false;
    this._onPreview(preview, byHand);
  }

  /** The power over the whole range of risk aversion, asked one after the other so that deciding is not crowded out. */
  async _sweep(asked) {
    const most = Number(byId("turn").max);
    const [x, y, actions] = [[], [], []];
    for (let step = 0; step <= SWEEP; step += 1) {
      const position = (most * step) / SWEEP;
      const { setpoint } = await this._previewAt(this.risk(position));
      if (asked !== this._asked) return;
      x.push(position);
      y.push(setpoint.power_mw);
      actions.push(setpoint.action);
    }
    byId("sweep").hidden = false;
    const now = Number(byId("turn").value);
    const ink = actions.map((action) => colour(action));
    await draw(byId("sweep"), [{
      x, y, mode: "lines+markers", line: { color: colour("soft"), width: 1 }, marker: { color: ink, size: 9 },
      text: actions, hovertemplate: "at %{x:.2f}: %{text} %{y:.3f} MW<extra></extra>",
    }], {
      showlegend: false, margin: { l: 56, r: 14, t: 8, b: 38 }, hovermode: "closest",
      xaxis: axis(byId("turn-label").textContent, { range: [-0.03 * most, 1.03 * most] }), yaxis: axis("MW", { rangemode: "tozero" }),
      shapes: [{ type: "line", x0: now, x1: now, yref: "paper", y0: 0, y1: 1, line: { color: colour("accent"), width: 2 } }],
    });
  }
}
