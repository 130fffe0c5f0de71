import { BottomRows } from "../sketches/bottom-rows.ts";
import type { EntityState, StateCodec } from "./entity-windows.ts";

/** A state that is nothing but rows. */
export interface RowsState extends EntityState {
  rows: BottomRows;
}

/** In V8's heap, in bytes: of a state without its rows; of a small one, packed, without its row. Measured. */
const stateBytes = 50;
const packedBytes = 20;

/** The codec of states of at most `rowsKept` rows; one that holds a row, and 1 of the sum `counted` in it, is small. */
export function rowsCodec(
  rowsKept: number,
  shape: ConstructorParameters<typeof BottomRows>[1],
  counted: number,
): StateCodec<RowsState> {
  return {
    create: () => ({ touched: false, rows: new BottomRows(rowsKept, shape) }),
    save: ({ rows }, writer) => rows.save(writer),
    load: (reader) => ({ touched: false, rows: BottomRows.load(rowsKept, shape, reader) }),
    bytes: ({ rows }) => stateBytes + rows.memoryBytes,
    isSmall: ({ rows }) => rows.size <= 1 && rows.total(counted) <= 1,
    smallBytes: ({ rows }) => packedBytes + rows.packedBytes,
  };
}
