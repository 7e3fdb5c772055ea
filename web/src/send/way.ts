/** The two ways the page has leave to write to the store, as the reader chose. */

import { keep, kept } from "../storage.ts";

export const ways = ["signed", "credentials"] as const;
export type Way = (typeof ways)[number];

const place = "two-buckets-way";

/** Signing here needs the browser's cryptography, which it gives only to pages it deems secure. */
export const canSignHere = (): boolean => "subtle" in crypto;

export const chosenWay = (): Way =>
	kept("local", place) === "credentials" && canSignHere() ? "credentials" : "signed";

export const chooseWay = (way: Way): void => keep("local", place, way);
