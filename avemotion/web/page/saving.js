// Download links for the results.
export function offer(link, text, type, name) {
  URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
}

export const stem = (name) => name.replace(/\.[^.]*$/, "");
