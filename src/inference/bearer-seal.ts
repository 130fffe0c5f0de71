import { DirectorySeal, type SealedText } from "../security/directory-seal.ts";
import type { MasterKey } from "../security/key-provider.ts";
import { sealContext } from "../security/seal.ts";
import { platformTenant } from "../security/tenant.ts";
import { ModelInferenceError } from "./model.ts";

interface Place {
  id: string;
  url: string | null;
}

/** Keys that instances want to see, sealed. Each opens for the address alone with which it was registered. */
export class BearerSeal {
  readonly #seal: DirectorySeal;

  constructor(masterKeys: readonly MasterKey[]) {
    this.#seal = new DirectorySeal(masterKeys);
  }

  seal(place: Place, bearer: string): SealedText {
    return this.#seal.seal(new TextEncoder().encode(bearer), contextOf(place));
  }

  /** @throws ModelInferenceError */
  open(place: Place, sealed: SealedText): string {
    try {
      return new TextDecoder().decode(this.#seal.open(sealed, contextOf(place)));
    } catch (error) {
      throw new ModelInferenceError(`the key of ${place.id} does not open: register it again`, { cause: error });
    }
  }
}

function contextOf({ id, url }: Place): string {
  return sealContext(platformTenant, "model_instances", `${id} ${url}`, "bearer");
}
