/** What was found out last, by text: parsing a statement anew takes longer than reading a row. */
export class Recent<Value> {
  readonly #values = new Map<string, Value>();
  readonly #charactersMax: number;
  #characters = 0;

  constructor(charactersMax: number) {
    this.#charactersMax = charactersMax;
  }

  get(text: string): Value | undefined {
    const value = this.#values.get(text);
    if (value === undefined) return undefined;
    this.#values.delete(text);
    this.#values.set(text, value); // The one that was used last comes last.
    return value;
  }

  set(text: string, value: Value): void {
    if (!this.#values.delete(text)) this.#characters += text.length;
    this.#values.set(text, value);
    for (const oldest of this.#values.keys()) {
      if (this.#characters <= this.#charactersMax) return;
      this.#values.delete(oldest);
      this.#characters -= oldest.length;
    }
  }
}
