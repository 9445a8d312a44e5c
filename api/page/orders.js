/* Orders of people: a power, watch only, or the policy again. Contract: nothing is sent before it has been said in words and
   confirmed. */

import { byId, say } from "./dom.js";
import { brussels, mw, utc } from "./format.js";
import { ask, Refused } from "./service.js";

const TITLES = { setpoint: "Set the power by hand", watch_only: "Watch only", automatic: "Let the policy decide again" };

export class Orders {
  /** watchOf gives the asset that is watched; onDone is called when an order was accepted. */
  constructor(watchOf, onDone) {
    this._watchOf = watchOf;
    this._onDone = onDone;
    this._kind = null;
    for (const [id, kind] of [["setpoint", "setpoint"], ["watch", "watch_only"], ["automatic", "automatic"]]) {
      byId(`order-${id}`).addEventListener("click", () => this._open(kind));
    }
    byId("order-cancel").addEventListener("click", () => byId("order-dialog").close());
    byId("order-form").addEventListener("input", () => this._sayMeaning());
    byId("order-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this._send();
    });
  }

  show(watch) {
    const { asset } = watch;
    for (const id of ["order-setpoint", "order-watch"]) byId(id).disabled = asset === null;
    byId("order-automatic").disabled = !asset?.override;
    say("order-note", asset === null
      ? "Orders need an asset that the service keeps (PUT /v1/assets/…); this one is known by its decisions only."
      : "The battery law and the ramp limit hold for orders too. They count from the next decision on.");
    say("order-now", asset?.override ? inForce(asset.override) : "No order is in force.");
  }

  _open(kind) {
    this._kind = kind;
    say("order-title", TITLES[kind]);
    say("order-error", "");
    byId("order-power-field").hidden = kind !== "setpoint";
    byId("order-length-field").hidden = kind === "automatic";
    const { battery } = this._watchOf().asset;
    Object.assign(byId("order-power"), { required: kind === "setpoint", min: -battery.power_mw, max: battery.power_mw, value: "" });
    byId("order-reason").value = "";
    this._sayMeaning();
    byId("order-dialog").showModal();
  }

  /** Until when, on a whole minute of the service's clock. */
  _until() {
    const ms = this._watchOf().now.getTime() + 60_000 * Number(byId("order-length").value);
    return new Date(Math.ceil(ms / 60_000) * 60_000);
  }

  _sayMeaning() {
    const { assetId } = this._watchOf();
    const until = this._until();
    const end = `until ${brussels(until)} (${utc(until)})`;
    const power = byId("order-power").value;
    say("order-meaning", {
      setpoint: `${assetId} will be asked for ${power === "" ? "the power you give" : mw(Number(power))} (discharge positive) ${end}, whatever the policy decides.`,
      watch_only: `${assetId} will be asked to hold at 0 MW ${end}. The policy goes on deciding, and its decisions are logged.`,
      automatic: `The order ends now, and ${assetId} follows its policy again from the next decision on.`,
    }[this._kind]);
  }

  async _send() {
    const { assetId } = this._watchOf();
    const body = { kind: this._kind, reason: byId("order-reason").value.trim() };
    if (this._kind !== "automatic") body.until = this._until().toISOString();
    if (this._kind === "setpoint") body.power_mw = Number(byId("order-power").value);
    byId("order-confirm").disabled = true;
    try {
      await ask(`/v1/assets/${encodeURIComponent(assetId)}/override`, { method: "PUT", body });
      byId("order-dialog").close();
      this._onDone();
    } catch (error) {
      say("order-error", error instanceof Refused ? error.words : "The service does not answer; the order may not have arrived.");
    } finally {
      byId("order-confirm").disabled = false;
    }
  }
}

function inForce(order) {
  const until = new Date(order.until);
  const what = order.kind === "setpoint" ? `Set to ${mw(order.power_mw)}` : "Watch only: the battery is asked to hold";
  return `${what} until ${brussels(until)}, ordered by ${order.principal}: ${order.reason}`;
}
