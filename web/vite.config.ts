import { defineConfig } from "vite";

export default defineConfig({
	base: "./",
	build: {
		target: "es2023",
		// Nothing inline: the policy allows no inline script or style, and each asset is served by name.
		assetsInlineLimit: 0,
		modulePreload: { polyfill: false },
	},
	server: {
		// `npm run mock`, or `two-buckets serve`, which answers reads only: it refuses a foreign Origin.
		proxy: { "/api": "http://127.0.0.1:8080" },
	},
});
