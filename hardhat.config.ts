import { createRequire } from "node:module";
import hardhatEthers from "@nomicfoundation/hardhat-ethers";
import hardhatEthersChaiMatchers from "@nomicfoundation/hardhat-ethers-chai-matchers";
import hardhatIgnition from "@nomicfoundation/hardhat-ignition";
import hardhatIgnitionEthers from "@nomicfoundation/hardhat-ignition-ethers";
import hardhatMocha from "@nomicfoundation/hardhat-mocha";
import hardhatNetworkHelpers from "@nomicfoundation/hardhat-network-helpers";
import hardhatTypechain from "@nomicfoundation/hardhat-typechain";
import { defineConfig } from "hardhat/config";

const require = createRequire(import.meta.url);

/** `npm run test:deep` */
const isDeep = process.env.DEEP_TESTS === "1";

export default defineConfig({
  plugins: [
    hardhatEthers,
    hardhatEthersChaiMatchers,
    hardhatIgnition,
    hardhatIgnitionEthers,
    hardhatMocha,
    hardhatNetworkHelpers,
    hardhatTypechain,
  ],
  solidity: {
    version: "0.8.37",
    // The compiler comes from npm by path, so that nothing is downloaded at build time.
    path: require.resolve("solc/soljson.js"),
    settings: { optimizer: { enabled: true, runs: 200 }, evmVersion: "cancun" },
  },
  paths: { sources: "contracts", tests: { mocha: "test/contracts", solidity: "test/contracts" }, ignition: "deploy" },
  typechain: { outDir: ".tidelane/build/typechain", dontOverrideCompile: false },
  test: {
    solidity: {
      fuzz: { runs: isDeep ? 10_000 : 256 },
      invariant: { runs: isDeep ? 1_024 : 48, depth: 128, failOnRevert: true },
      eip712Types: { include: ["contracts/types/**"] },
    },
  },
});
