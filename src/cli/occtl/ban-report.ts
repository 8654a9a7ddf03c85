/** `show ip bans` and `show ip ban points`, as text and as JSON. Layouts: as for `user-report.ts`. */
import type { BanListing } from '../../gateway/main/ban-table.ts';
import { dateText, durationText, tableRow } from './human-text.ts';
import { renderRecords } from './json-text.ts';

const POINT_WIDTHS = [14, 14];
const BAN_WIDTHS = [...POINT_WIDTHS, 30];

/** Observed: 1.1.6 leaves the heading out where the first address that it knows is not banned. */
export function bansTable(listings: readonly BanListing[], now: number): string {
  const rows = bansOf(listings).map(({ address, score, bannedUntil }) => {
    return `${tableRow(BAN_WIDTHS, [address, String(score), dateText(bannedUntil)])} (${durationText(bannedUntil - now)})\n`;
  });
  return rows.length === 0 ? '' : `${tableRow(BAN_WIDTHS, ['IP', 'score', 'expires'])}\n${rows.join('')}`;
}

/** Observed: `Since` is when the ban ends. */
export function bansJson(listings: readonly BanListing[], now: number): string {
  return renderRecords(
    bansOf(listings).map(({ address, score, bannedUntil }) => ({
      IP: address,
      Since: dateText(bannedUntil),
      _Since: durationText(bannedUntil - now),
      Score: score,
    })),
  );
}

export function pointsTable(listings: readonly BanListing[]): string {
  if (listings.length === 0) return '';
  const rows = listings.map(({ address, score }) => [address, String(score)]);
  return [['IP', 'score'], ...rows].map((row) => `${tableRow(POINT_WIDTHS, row)}\n`).join('');
}

export function pointsJson(listings: readonly BanListing[]): string {
  return renderRecords(listings.map(({ address, score }) => ({ IP: address, Score: score })));
}

function bansOf(listings: readonly BanListing[]): { address: string; score: number; bannedUntil: number }[] {
  return listings.flatMap(({ address, score, bannedUntil }) => (bannedUntil === undefined ? [] : [{ address, score, bannedUntil }]));
}
