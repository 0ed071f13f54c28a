import type { OnlineVerified } from '../../domain/publishing.js';
import { listing, type Listing } from './listing.js';
import { moment } from './table.js';

interface GenerationRow {
  readonly generation: number;
  readonly revision: number;
  readonly status: string;
  readonly rows: number | null;
  readonly snapshot: number;
  readonly watermark: string | null;
  readonly liveAt: string | null;
}
type VerificationRow = OnlineVerified & { readonly at: string };

/** What `eider get` lists of the online store. */
export const onlineListings: Readonly<Record<string, Listing>> = {
  generation: listing<GenerationRow>('VIEW', (view) => `/features/${view}/generations`, [
    ['GENERATION', ({ generation }) => generation],
    ['REVISION', ({ revision }) => revision],
    ['STATUS', ({ status }) => status],
    ['ROWS', ({ rows }) => rows],
    ['SNAPSHOT', ({ snapshot }) => snapshot],
    ['WATERMARK', ({ watermark }) => moment(watermark)],
    ['LIVE SINCE', ({ liveAt }) => moment(liveAt)],
  ]),
  verification: listing<VerificationRow>('VIEW', (view) => `/features/${view}/verifications`, [
    ['AT', ({ at }) => moment(at)],
    ['GENERATION', ({ generation }) => generation],
    ['COMPARED', ({ compared }) => compared],
    ['DIFFERING', ({ differing }) => differing],
    ['REPAIRED', ({ repaired }) => repaired],
    ['REPORT', ({ id }) => id],
  ]),
};
