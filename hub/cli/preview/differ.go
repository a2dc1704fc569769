package preview

import "strings"

// maxLines bounds what is compared line by line; longer texts are shown whole.
const maxLines = 2000

// differ lists the lines that go and those that come, by a longest common
// subsequence.
func differ(was, will string) []string {
	if was == will {
		return nil
	}
	a, b := lines(was), lines(will)
	if len(a) > maxLines || len(b) > maxLines {
		return append(marked(nil, "- ", a), marked(nil, "+ ", b)...)
	}
	// common[i][j] is the length of what a[i:] and b[j:] have in common.
	common := make([][]int16, len(a)+1)
	for i := range common {
		common[i] = make([]int16, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []string
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] == b[j]:
			i, j = i+1, j+1
		case common[i+1][j] >= common[i][j+1]:
			out = append(out, "- "+a[i])
			i++
		default:
			out = append(out, "+ "+b[j])
			j++
		}
	}
	return marked(marked(out, "- ", a[i:]), "+ ", b[j:])
}

func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

func marked(out []string, mark string, list []string) []string {
	for _, line := range list {
		out = append(out, mark+line)
	}
	return out
}
