// The hot frames of the swarm channel, binary and little-endian. A frame that does not parse to
// its last byte is refused whole.
//
//   pull    01 | handle u32 | slots u16 | reports u16 | overdue u16
//              | reports × { piece u32, parent u32, outcome u8, elapsedMs u32 }
//              | overdue × { piece u32 }
//   assign  02 | handle u32 | assignments u16
//              | assignments × { piece u32, count u16, parent u32, addressLength u8, address }
//   rows    03 | handle u32 | rows u16
//              | rows × { piece u32, form u8, wireLength u32, wireSha256 32 bytes }
//                plain pieces (form 0) carry one digest

export const FRAME_PULL = 1;
export const FRAME_ASSIGN = 2;
export const FRAME_ROWS = 3;
