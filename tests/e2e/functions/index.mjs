// A function in JavaScript that answers what it was told, or throws.
export const handler = async (event, context) => {
  const { object } = event.Records[0].s3;
  console.log(`told of ${object.key}`);
  if (object.key.startsWith("throw")) {
    throw new TypeError("told to throw");
  }
  return { key: object.key, function: context.functionName, leftMs: context.getRemainingTimeInMillis() };
};
